//! The program on a terminal: what a person sees of a transfer that takes its time.

#![allow(clippy::unwrap_used)] // a test may

use proxystore::Store;
use proxystore_testkit::RedisServer;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Passes connections on to a server, some tens of megabytes a second each way. Its threads end with
/// the process.
fn slow_line(server: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let pass_on = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let mut piece = vec![0; 512 << 10];
            while let Ok(len @ 1..) = from.read(&mut piece) {
                std::thread::sleep(Duration::from_millis(len as u64 / (32 << 10)));
                if to.write_all(&piece[..len]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    };
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            pass_on(client.try_clone().unwrap(), server.try_clone().unwrap());
            pass_on(server, client);
        }
    });
    port
}

/// Runs the program with standard error on a terminal; what that shows, and standard output.
fn on_a_terminal(arguments: &[&str]) -> (String, Vec<u8>) {
    let (mut ours, mut theirs) = (0, 0);
    let size = libc::winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: room for both numbers; nothing else is asked for.
    let failed = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            &raw const size as *mut _,
        )
    };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both were just made, and belong to nobody else.
    let (ours, theirs) = unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    // SAFETY: a number and a flag. The child gets its copy as standard error alone.
    unsafe { libc::fcntl(ours.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    let child = Command::new(env!("CARGO_BIN_EXE_proxystore"))
        .args(arguments)
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(theirs)
        .spawn()
        .unwrap();
    let shown = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // It ends with an error when the last holder of the other side is gone.
        let _ = File::from(ours).read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    let output = child.wait_with_output().unwrap();
    let shown = shown.join().unwrap();
    assert!(output.status.success(), "{shown}");
    (shown, output.stdout)
}

#[test]
fn large_transfers_show_how_far_they_are() {
    let server = RedisServer::start(&[]);
    let url = format!("redis://127.0.0.1:{}", slow_line(server.port()));
    let file = std::env::temp_dir().join(format!("proxystore-terminal-{}", std::process::id()));
    let bytes = vec![7_u8; 40_000_000];
    std::fs::write(&file, &bytes).unwrap();
    let (shown, key) = on_a_terminal(&["store", "put", &url, file.to_str().unwrap()]);
    assert!(
        shown.contains("putting") && shown.contains("/40.00 MB"),
        "{shown:?}"
    );
    let part = shown.split("/40.00 MB").next().unwrap();
    assert!(part.ends_with(" MB"), "some of it had gone: {shown:?}");

    let key = String::from_utf8(key).unwrap();
    let got = file.with_extension("got");
    let to = ["store", "get", &url, key.trim_end(), "-o", path(&got)];
    let (shown, _) = on_a_terminal(&to);
    assert!(
        shown.contains("getting") && shown.contains("MB/s"),
        "{shown:?}"
    );
    assert!(std::fs::read(&got).unwrap() == bytes);
    for file in [file, got] {
        std::fs::remove_file(file).unwrap();
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_is_quick_shows_nothing() {
    let dir = std::env::temp_dir().join(format!("proxystore-quick-{}", std::process::id()));
    let url = format!("file://{}", dir.display());
    let key = Store::open("quick", &url).unwrap().put("text").unwrap();
    let (shown, content) = on_a_terminal(&["store", "get", &url, key.as_str()]);
    assert_eq!((shown.as_str(), content.as_slice()), ("", &b"text"[..]));
    std::fs::remove_dir_all(dir).unwrap();
}
