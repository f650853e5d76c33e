//! The program as a process.

#![allow(clippy::unwrap_used)] // a test may

use proxystore::codec::AnyArray;
use proxystore::codec::tree::MessagePack;
use proxystore::{Reference, Store};
use proxystore_testkit::{RedisServer, S3Server};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run_with(input: &[u8], arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_proxystore"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// What a run that succeeds prints.
fn said(input: &[u8], arguments: &[&str]) -> Vec<u8> {
    let output = run_with(input, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    output.stdout
}

fn line(input: &[u8], arguments: &[&str]) -> String {
    let text = String::from_utf8(said(input, arguments)).unwrap();
    text.trim_end().to_owned()
}

/// What a run that fails complains about.
fn complaint(arguments: &[&str]) -> String {
    let output = run_with(b"", arguments);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn folder(name: &str) -> (std::path::PathBuf, String) {
    let path = std::env::temp_dir().join(format!("proxystore-cli-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    let url = format!("file://{}/store", path.display());
    (path, url)
}

/// A Redis server behind TLS, and its URL. Whoever connects trusts its certificate alone.
fn redis_over_tls(dir: &Path) -> (RedisServer, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, content: String| {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let certificate = file("redis.crt", made.cert.pem());
    let key = file("redis.key", made.signing_key.serialize_pem());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://localhost:{port}?ca_file={certificate}");
    (server, url)
}

#[test]
fn put_ls_stat_get_rm() {
    let server = RedisServer::start(&[]);
    let (dir, file) = folder("verbs");
    let redis = format!("redis://127.0.0.1:{}", server.port());
    let socket = format!("redis+unix://{}?db=1", server.socket().display());
    let (_tls, rediss) = redis_over_tls(&dir);
    let bucket = S3Server::start();
    let s3 = format!(
        "s3://id:word@bucket/verbs?endpoint={}&allow_secret=true",
        bucket.endpoint()
    );
    for url in [&file, &redis, &socket, &rediss, &s3] {
        let key = line(b"some \x00 bytes", &["store", "put", url]);
        assert_eq!(line(b"", &["store", "ls", url]), key);
        assert_eq!(said(b"", &["store", "get", url, &key]), b"some \x00 bytes");
        let stat = line(b"", &["store", "stat", url, &key]);
        assert!(stat.contains("Bytes") && stat.contains(&key), "{stat}");
        let stat = line(b"", &["--json", "store", "stat", url]);
        let stat: serde_json::Value = serde_json::from_str(&stat).unwrap();
        assert_eq!(stat["objects"], 1);
        assert_eq!(line(b"", &["store", "rm", url, &key]), "");
        assert_eq!(line(b"", &["store", "ls", url]), "");
        assert!(complaint(&["store", "rm", url, &key]).contains(&key));
        assert!(complaint(&["store", "get", url, &key]).contains(&key));
        // Where only the reference is known.
        let sent = line(b"found", &["store", "put", url, "--reference"]);
        assert_eq!(said(b"", &["store", "get", &sent]), b"found", "{sent}");
        let doctor = line(b"", &["doctor", url]);
        assert!(doctor.contains("put, got and evicted"), "{doctor}");
    }
    assert_eq!(bucket.names().len(), 1, "{:?}", bucket.names());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let bucket = S3Server::start();
    let url = format!(
        "s3://id:hunter2@bucket/secrets?endpoint={}",
        bucket.endpoint()
    );
    let key = line(b"bytes", &["store", "put", &url]);
    let stat = line(b"", &["store", "stat", &url]);
    assert!(stat.contains("s3://bucket/secrets"), "{stat}");
    let refused = complaint(&["store", "put", &url, "--reference"]);
    assert!(refused.contains("${VARIABLE}"), "{refused}");
    let missing = complaint(&["store", "rm", &url, &key, "another"]);
    assert!(missing.contains("another"), "{missing}");
    let away = run_with(b"", &["doctor", &url.replace("@bucket", "@bukcet")]);
    let away = String::from_utf8_lossy(&[away.stdout, away.stderr].concat()).into_owned();
    assert!(away.contains("bukcet") && away.contains("FAILED"), "{away}");
    for text in [stat, refused, missing, away] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn references_are_understood() {
    let (dir, url) = folder("references");
    let text = line(
        "zwölf".as_bytes(),
        &[
            "store",
            "put",
            &url,
            "--as",
            "text",
            "--reference",
            "--name",
            "from the shell",
        ],
    );
    let reference: Reference = text.parse().unwrap();
    let store = Store::of_reference(&reference).unwrap();
    assert_eq!(store.name(), "from the shell");
    assert_eq!(
        store.get::<String>(reference.key()).unwrap().unwrap(),
        "zwölf"
    );
    assert_eq!(line(b"", &["store", "get", &text]), "zwölf");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn trees_are_json() {
    let (dir, url) = folder("trees");
    let input = br#"{"a": [1, 2.5, null, true], "b": "text"}"#;
    let key = line(input, &["store", "put", &url, "--as", "json"]);
    let output = said(b"", &["store", "get", &url, &key]);
    let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(
        read,
        serde_json::from_slice::<serde_json::Value>(input).unwrap()
    );
    let store = Store::open("trees", &url).unwrap();
    let key = store.put(&MessagePack(((1, 2), f64::NAN))).unwrap();
    let output = line(b"", &["store", "get", &url, key.as_str()]);
    assert!(output.contains("NaN"), "{output}");
    let output = said(b"", &["--json", "store", "get", &url, key.as_str()]);
    serde_json::from_slice::<serde_json::Value>(&output).unwrap();
    let key = line(b"bytes", &["store", "put", &url]);
    assert!(complaint(&["--json", "store", "get", &url, &key]).contains("--output"));
    let file = dir.join("got");
    let to = [
        "store",
        "get",
        &url,
        &key,
        "--json",
        "--output",
        file.to_str().unwrap(),
    ];
    let read: serde_json::Value = serde_json::from_slice(&said(b"", &to)).unwrap();
    assert_eq!(
        (&read["bytes"], &read["codec"]),
        (&5.into(), &"Bytes".into())
    );
    assert_eq!(std::fs::read(file).unwrap(), b"bytes");
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn frames_are_inspected() {
    let (dir, url) = folder("frames");
    let store = Store::open("frames", &url).unwrap();
    let array = AnyArray::from_slice(&[2, 3], &[1.0_f32; 6]).unwrap();
    let key = store.put(&array).unwrap();
    let path = dir.join("frame");
    let name = path.to_str().unwrap();
    said(
        b"",
        &[
            "store",
            "get",
            &url,
            key.as_str(),
            "--frame",
            "--output",
            name,
        ],
    );
    let text = line(b"", &["frame", "inspect", name]);
    for part in ["Ndarray", "shape [2, 3]", "sound", "24 bytes"] {
        assert!(text.contains(part), "{text}");
    }
    let output = said(b"", &["frame", "inspect", name, "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(read["array"]["shape"], serde_json::json!([2, 3]));

    let frame = std::fs::read(&path).unwrap();
    let again = line(&frame, &["store", "put", &url, "--as", "frame"]);
    assert_ne!(again, key.as_str());
    std::fs::write(&path, &frame[..frame.len() - 1]).unwrap();
    assert!(complaint(&["frame", "inspect", name]).contains("truncated"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn mistakes_are_explained() {
    assert!(complaint(&["store", "put", "memory://"]).contains("ends with this command"));
    assert!(complaint(&["store", "ls", "redsi://x"]).contains("did you mean `redis://`?"));
    assert!(complaint(&["store", "get", "file:///tmp"]).contains("reference"));
    assert!(complaint(&["frame", "inspect", "/nowhere"]).contains("/nowhere"));
    assert!(complaint(&["store", "put", "file:///tmp/x", "/nowhere"]).contains("/nowhere"));
    assert_eq!(run_with(b"", &["store", "pot"]).status.code(), Some(2));
}

#[test]
fn who_holds_shared_memory() {
    let store = Store::open("held", "shm://").unwrap();
    let key = store.put(&vec![1_u8; 1 << 20]).unwrap();
    let text = line(b"", &["store", "ls"]);
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(store.exists(&key).unwrap(), "looking changes nothing");
    let output = said(b"", &["store", "ls", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert!(
        read["sessions"]
            .as_array()
            .is_some_and(|list| !list.is_empty())
    );
    let output = said(b"", &["store", "stat", "shm://", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let pids = read["sessions"].as_array().unwrap().iter();
    let pids = pids.flat_map(|session| session["holders"].as_array().unwrap());
    assert!(
        pids.into_iter()
            .any(|holder| holder["pid"] == std::process::id())
    );
    store.close(true).unwrap();
}

#[test]
fn the_doctor_looks() {
    let server = RedisServer::start(&[]);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let text = line(b"", &["doctor", &url]);
    for part in [
        "kernel",
        "shared memory store",
        "redis",
        "rediss, s3, gs, az",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let read: serde_json::Value =
        serde_json::from_slice(&said(b"", &["doctor", "--json"])).unwrap();
    let schemes = read["schemes"].as_array().unwrap();
    for scheme in ["file", "s3+profile", "redis+sentinel", "endpoint"] {
        assert!(schemes.contains(&scheme.into()), "{schemes:?}");
    }
    drop(server);
    assert!(complaint(&["doctor", &url]).contains("failed"));
}

#[test]
fn a_quick_bench() {
    let output = said(b"", &["bench", "memory://", "--sizes", "1kB", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(read["figures"][0]["bytes"], 1000);
    assert!(
        read["figures"][0]["put_ns"]
            .as_u64()
            .is_some_and(|time| time > 0)
    );
}

#[test]
fn every_command_prints_one_document() {
    let (dir, url) = folder("json");
    let document = |arguments: &[&str]| -> serde_json::Value {
        let output = said(br#"{"a": 1}"#, &[&["--json"], arguments].concat());
        serde_json::from_slice(&output)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    };
    let key = document(&["store", "put", &url, "--as", "json"])["key"].clone();
    let key = key.as_str().unwrap();
    let file = dir.join("frame");
    let file = file.to_str().unwrap();
    assert_eq!(document(&["store", "get", &url, key])["a"], 1);
    let written = document(&["store", "get", &url, key, "--frame", "-o", file]);
    assert_eq!(written["codec"], "MessagePack");
    assert_eq!(
        document(&["frame", "inspect", file])["codec"],
        "MessagePack"
    );
    assert_eq!(document(&["store", "stat", &url, key])["key"], key);
    assert_eq!(document(&["store", "stat", &url])["objects"], 1);
    assert_eq!(document(&["store", "ls", &url])["keys"][0], key);
    assert!(document(&["store", "ls"])["sessions"].is_array());
    assert_eq!(document(&["store", "rm", &url, key])["removed"], 1);
    assert!(document(&["doctor"])["findings"].is_array());
    assert!(document(&["bench", "memory://", "--sizes", "1kB"])["figures"].is_array());
    assert!(document(&["completions", "bash"])["script"].is_string());
    let name = dir.join("key");
    assert!(document(&["key", "new", name.to_str().unwrap()])["key"].is_string());
    assert!(document(&["key", "new", "-"])["value"].is_string());
    // What has none says so.
    assert!(complaint(&["--json", "endpoint", "list"]).contains("no JSON"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn shells_are_completed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            line(b"", &["completions", shell]).contains("inspect"),
            "{shell}"
        );
    }
    assert!(line(b"", &["--version"]).starts_with("proxystore "));
}

#[test]
fn a_key_seals_a_store() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, url) = folder("key");
    let path = dir.join("campaign.key");
    let file = path.to_str().unwrap();
    let name = line(b"", &["key", "new", file]);
    assert_eq!(name, format!("file:{file}"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let written = std::fs::read(&path).unwrap();
    assert!(complaint(&["key", "new", file]).contains("exists"));
    assert_eq!(std::fs::read(&path).unwrap(), written, "left alone");

    let sealed = format!("{url}?encryption={name}");
    let key = line(b"some bytes", &["store", "put", &sealed]);
    assert_eq!(said(b"", &["store", "get", &sealed, &key]), b"some bytes");
    assert!(complaint(&["store", "get", &url, &key]).contains("encryption"));
    let reference = line(b"more", &["store", "put", &sealed, "--reference"]);
    assert_eq!(said(b"", &["store", "get", &reference]), b"more");
    std::fs::remove_dir_all(dir).unwrap();
}
