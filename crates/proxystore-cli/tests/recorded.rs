//! The session in docs/rust.md, typed again: the program prints what stands there.

#![allow(clippy::unwrap_used)] // a test may

use proxystore::Store;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the session's store is; the test has its own.
const PLACE: &str = "/tmp/results";
const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "s"];

/// What was typed, and what was printed then.
fn session() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/rust.md");
    let page = page.split("## The command line").nth(1).unwrap();
    let blocks = page.split("```console\n").skip(1);
    let mut session = Vec::new();
    for block in blocks.map(|block| block.split("```").next().unwrap()) {
        for part in block.strip_prefix("$ ").unwrap().split("\n$ ") {
            let (typed, printed) = part.split_once('\n').unwrap_or((part, ""));
            let typed = typed.split(" # ").next().unwrap();
            session.push((typed.trim().to_owned(), printed.trim_end().to_owned()));
        }
    }
    session
}

/// Whether it has the form of a key that a store made.
fn is_key(run: &str) -> bool {
    run.len() == 26 && run.starts_with(|first: char| first.is_ascii_digit())
}

/// The keys in a text, in order.
fn keys(text: &str) -> impl Iterator<Item = &str> {
    let runs = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    runs.filter(|run| is_key(run))
}

/// A word without what differs between two runs, or two machines; none for a unit.
fn constant(word: &str) -> Option<String> {
    if UNITS.contains(&word.trim_end_matches(',')) {
        return None;
    }
    let without_keys = keys(word).fold(word.to_owned(), |text, key| text.replace(key, "KEY"));
    let begins = without_keys.trim_start_matches('(');
    let is_number = begins.starts_with(|first: char| first.is_ascii_digit());
    Some(if is_number {
        "a number".to_owned()
    } else {
        without_keys
    })
}

fn constants(text: &str) -> Vec<String> {
    text.split_whitespace().filter_map(constant).collect()
}

/// The column of the doctor's table that does not depend on the machine.
fn looked_at(text: &str) -> Vec<String> {
    let second = |line: &str| {
        let (_, rest) = line.split_once("  ").unwrap();
        rest.trim_start().split("  ").next().unwrap().to_owned()
    };
    text.lines().map(second).collect()
}

fn shell(typed: &str, here: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", typed])
        .current_dir(here)
        .env("PATH", format!("{}:{path}", here.join("bin").display()))
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "$ {typed}\n{complaint}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_page_shows_what_is_printed() {
    let here = std::env::temp_dir().join(format!("proxystore-recorded-{}", std::process::id()));
    let here = Scratch(here);
    std::fs::create_dir_all(here.0.join("bin")).unwrap();
    let program = env!("CARGO_BIN_EXE_proxystore");
    std::os::unix::fs::symlink(program, here.0.join("bin/proxystore")).unwrap();
    let place = here
        .0
        .join("results")
        .into_os_string()
        .into_string()
        .unwrap();
    // Somebody must hold shared memory.
    let held = Store::open("recorded", "shm://").unwrap();

    let session = session();
    let mut meant: HashMap<String, String> = HashMap::new();
    for (typed, then) in &session {
        let now = typed.replace(PLACE, &place);
        let now = meant
            .iter()
            .fold(now, |text, (key, own)| text.replace(key, own));
        let printed = shell(&now, &here.0);
        let printed = printed.replace(&place, PLACE);
        if typed.starts_with("proxystore doctor") {
            assert_eq!(looked_at(&printed), looked_at(then), "$ {typed}");
        } else if typed == "proxystore store ls" {
            // Others may hold some too.
            let (printed, then) = (printed.lines().next(), then.lines().next());
            let words = |line: Option<&str>| constants(line.unwrap());
            assert_eq!(words(printed), words(then), "$ {typed}");
        } else {
            assert_eq!(constants(&printed), constants(then), "$ {typed}\n{printed}");
        }
        let pairs = keys(then).zip(keys(&printed));
        meant.extend(pairs.map(|(then, own)| (then.to_owned(), own.to_owned())));
    }
    for verb in [
        "store put",
        "store get",
        "store ls",
        "store stat",
        "store rm",
    ]
    .into_iter()
    .chain(["frame inspect", "doctor", "bench", "completions", "--json"])
    {
        let shown = session.iter().any(|(typed, _)| typed.contains(verb));
        assert!(shown, "the page should show `{verb}`");
    }
    held.close(true).unwrap();
}
