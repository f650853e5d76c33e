//! Removing what programs that have ended left behind.
//!
//! A session is `<name>.lock` and a directory `<name>` beside it, made in this order, and a
//! directory `<name>.<boot>-<mount>` where it spills to. A sweeper removes the lock file of a
//! session that no process holds, and then every directory that has no lock file: so whoever dies
//! in between leaves what the next one removes.

use super::hold;
use super::locks::RecordLocks;
use super::origin::{boot, user};
use super::roots::Root;
use crate::Key;
use crate::connectors::file::{FileSystem, entries};
use std::path::{Path, PathBuf};

pub(super) const LOCK_SUFFIX: &str = ".lock";

/// Sweeps a user's shared memory, and where its dead sessions spilled to.
///
/// What cannot be removed stays for the next opener: no reason to keep this one from its work.
pub(super) fn sweep(root: &Root) {
    let Ok(names) = entries(root.fd()) else {
        return;
    };
    // A second copy of this library in the same process, in an extension module of its own, has a
    // table of its own: its locks are this process's too, and neither conflict nor outlive a close.
    let mut locks = None;
    let mut directories = Vec::new();
    for name in &names {
        let Ok(text) = name.to_str() else { continue };
        match text.strip_suffix(LOCK_SUFFIX) {
            Some(session) if Key::is_fresh_form(session) => {
                let path = root.path().join(text);
                if hold::is_held_here(&path)
                    || locks
                        .get_or_insert_with(RecordLocks::read)
                        .holders(&path)
                        .contains(&std::process::id())
                {
                    continue;
                }
                if let Ok(Some(Some(spill))) = hold::take_if_dead(root.fd(), name, &path) {
                    remove_spilled(&spill, session);
                }
            }
            None if Key::is_fresh_form(text) => directories.push(text),
            _ => {}
        }
    }
    for session in directories {
        if !has_lock(root, session) {
            let _ = std::fs::remove_dir_all(root.path().join(session));
        }
    }
}

/// Sweeps a place to spill to: what belongs to an earlier start of this machine, and what belongs
/// to a session of `memory` that is no more. Other containers may spill to the same place: theirs
/// is another mount.
pub(super) fn sweep_spilled(spill: &Root, memory: &Root) {
    let here = boot();
    let is_local = FileSystem::of(spill.fd()).is_ok_and(FileSystem::is_local);
    let Ok(names) = entries(spill.fd()) else {
        return;
    };
    for name in names {
        let parsed = name.to_str().ok().and_then(|text| {
            let (session, mark) = text.split_once('.')?;
            let (boot, mount) = mark.rsplit_once('-')?;
            let mount = u64::from_str_radix(mount, 16).ok()?;
            Key::is_fresh_form(session).then_some((text, session, boot, mount))
        });
        let Some((text, session, boot, mount)) = parsed else {
            continue;
        };
        let dead = if boot == here {
            mount == memory.mount() && !has_lock(memory, session)
        } else {
            // A disk that only this machine reaches, and an earlier run of it.
            is_local && !here.is_empty()
        };
        if dead {
            let _ = std::fs::remove_dir_all(spill.path().join(text));
        }
    }
}

/// Removes the objects of a session whose lock file was just removed.
pub(super) fn remove_objects(lock: &Path, spill_dir: Option<&Path>) {
    let _ = std::fs::remove_dir_all(lock.with_extension(""));
    let session = lock.file_stem().and_then(|stem| stem.to_str());
    if let (Some(dir), Some(session)) = (spill_dir, session) {
        remove_spilled(dir, session);
    }
}

fn remove_spilled(dir: &Path, session: &str) {
    let Ok(Some(root)) = Root::open(dir, user()) else {
        return;
    };
    let Ok(names) = entries(root.fd()) else {
        return;
    };
    for text in names.iter().filter_map(|name| name.to_str().ok()) {
        let rest = text.strip_prefix(session);
        if rest.is_some_and(|rest| rest.starts_with('.')) {
            let _ = std::fs::remove_dir_all(root.path().join(text));
        }
    }
}

/// When in doubt, it lives.
fn has_lock(root: &Root, session: &str) -> bool {
    let found = root
        .path()
        .join(format!("{session}{LOCK_SUFFIX}"))
        .symlink_metadata();
    !matches!(found, Err(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// The lock files in a user's directory, with their sessions' names.
pub(super) fn locks(root: &Root) -> std::io::Result<Vec<(String, PathBuf)>> {
    let names = entries(root.fd())?;
    let sessions = names.iter().filter_map(|name| {
        let text = name.to_str().ok()?;
        let session = text.strip_suffix(LOCK_SUFFIX)?;
        Key::is_fresh_form(session).then(|| (session.to_owned(), root.path().join(text)))
    });
    Ok(sessions.collect())
}
