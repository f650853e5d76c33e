//! Configuring, starting, stopping, removing.

use super::arguments::Configure;
use super::{Done, Failure, say};
use crate::client::{CONFIG_FILE, Running};
use crate::config::{Config, HostType, MetricsSection, folder};
use crate::daemon;
use crate::identity::SecretKey;
use crate::log::{self, Level};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon may take to stop.
const STOP: Duration = Duration::from_secs(15);
const LOG_FILE: &str = "log.txt";

pub(super) fn configure(arguments: &Configure) -> Done {
    let dir = folder(None, &arguments.name)?;
    if dir.join(CONFIG_FILE).exists() {
        return Err(format!(
            "the endpoint {} exists already: edit {}, or remove it first with \
             `proxystore-endpoint remove {}`",
            arguments.name,
            dir.join(CONFIG_FILE).display(),
            arguments.name
        )
        .into());
    }
    let (host_type, host) = match arguments.host.as_str() {
        "ip" => (HostType::Ip, None),
        "fqdn" => (HostType::Fqdn, None),
        "none" => (HostType::None, None),
        host => (HostType::Static, Some(host.to_owned())),
    };
    let mut config = Config {
        name: arguments.name.clone(),
        uuid: identity(&dir)?,
        port: arguments.port,
        host,
        host_type,
        relay: Default::default(),
        storage: Default::default(),
        peers: Default::default(),
        metrics: arguments.metrics_port.map(|port| MetricsSection { port }),
    };
    if !arguments.no_relay_server {
        config.relay.address.clone_from(&arguments.relay_address);
        config.relay.token_file = from_anywhere(arguments.relay_token_file.as_deref())?;
        config.relay.certificate = from_anywhere(arguments.relay_certificate.as_deref())?;
    }
    config.relay.peer_channels = arguments.peer_channels;
    config.peers.listen.clone_from(&arguments.listen);
    if arguments.persist {
        config.storage.database_path = Some(dir.join("blobs.db"));
    }
    if let Some(limit) = arguments.max_object_size {
        config.storage.max_object_size = limit;
    }
    config.write(&dir)?;
    say(&format!(
        "Configured the endpoint {} <{}>.\nIts public key is {}\nIts configuration is {}\nStart it with: \
         proxystore-endpoint start {} --detach",
        config.name,
        config.uuid,
        SecretKey::load(&dir.join(daemon::KEY_FILE))?.public(),
        dir.join(CONFIG_FILE).display(),
        config.name
    ))
}

/// A path that means the same to a daemon, which runs in another folder.
fn from_anywhere(path: Option<&Path>) -> io::Result<Option<PathBuf>> {
    path.map(std::path::absolute).transpose()
}

/// Makes the endpoint's key, unless there is one. The UUID that the key stands for is the same to
/// everybody who knows the key.
fn identity(dir: &Path) -> Result<String, Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir)?;
    let key = SecretKey::load_or_create(&dir.join(daemon::KEY_FILE))?;
    Ok(key.public().alias().to_string())
}

pub(super) fn start(name: &str, level: Level, detach: bool, announce: bool) -> Done {
    let dir = folder(None, name)?;
    Config::read(&dir)?;
    if detach {
        return start_detached(&dir, name, level);
    }
    if announce {
        log::start(level, Some(&dir.join(LOG_FILE)))?;
    } else {
        log::start(level, None)?;
    }
    daemon::run(&dir, |_| {
        if announce {
            let _ = writeln!(io::stdout(), "ready");
            let _ = let_go_of_output();
        }
    })?;
    Ok(())
}

/// The one who started us reads no more.
fn let_go_of_output() -> io::Result<()> {
    let null = fs::OpenOptions::new().write(true).open("/dev/null")?;
    for target in [1, 2] {
        // SAFETY: only numbers go in; standard output and error are nobody's but ours.
        if unsafe { libc::dup2(null.as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn start_detached(dir: &Path, name: &str, level: Level) -> Done {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0("proxystore-endpoint")
        .args([
            "--log-level",
            &format!("{level:?}"),
            "start",
            name,
            "--announce",
        ])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // SAFETY: `setsid` may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line)?;
    }
    if line.trim() == "ready" {
        return say(&format!(
            "The endpoint {name} runs as process {}; it logs to {}",
            child.id(),
            dir.join(LOG_FILE).display()
        ));
    }
    let mut words = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut words)?;
    }
    let status = child.wait()?;
    let words = words.trim();
    let words = words.strip_prefix("proxystore-endpoint: ").unwrap_or(words);
    Err(if words.is_empty() {
        format!("the endpoint {name} did not start ({status})").into()
    } else {
        words.into()
    })
}

pub(super) fn stop(name: &str) -> Done {
    let dir = folder(None, name)?;
    Config::read(&dir)?;
    let Some(running) = Running::read(&dir) else {
        return say(&format!("the endpoint {name} is not running"));
    };
    if !running.is_here() {
        return Err(format!(
            "the endpoint {name} runs on {} (process {}): stop it there",
            running.host, running.pid
        )
        .into());
    }
    if !daemon::is_held(&dir) {
        daemon::forget(&dir);
        return say(&format!(
            "the endpoint {name} is not running; it had been killed"
        ));
    }
    let pid = libc::pid_t::try_from(running.pid)?;
    // SAFETY: the process holds the folder's lock, so its number is not another's.
    if unsafe { libc::kill(pid, libc::SIGTERM) } != 0 {
        return Err(io::Error::last_os_error().into());
    }
    let began = Instant::now();
    while daemon::is_held(&dir) {
        if began.elapsed() > STOP {
            return Err(format!(
                "the endpoint {name} (process {pid}) has not stopped within {} s; its log is {}",
                STOP.as_secs(),
                dir.join(LOG_FILE).display()
            )
            .into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    say(&format!("stopped the endpoint {name}"))
}

pub(super) fn remove(name: &str) -> Done {
    let dir = folder(None, name)?;
    let config = Config::read(&dir)?;
    let elsewhere = Running::read(&dir).is_some_and(|running| !running.is_here());
    if daemon::is_held(&dir) || elsewhere {
        return Err(format!(
            "the endpoint {name} is running: stop it first with `proxystore-endpoint stop {name}`"
        )
        .into());
    }
    if let Some(database) = &config.database() {
        let _ = fs::remove_file(database);
        let _ = fs::remove_dir_all(database.with_extension("objects"));
    }
    fs::remove_dir_all(&dir)?;
    say(&format!("removed the endpoint {name}"))
}
