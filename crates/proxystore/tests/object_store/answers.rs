//! What services answer, and what a person is told; secrets.

use super::config;
use proxystore::config::Url;
use proxystore::connectors::object_store::{ObjectStoreConfig, ObjectStoreConnector, Provider};
use proxystore::{Connector, ErrorKind};
use proxystore_testkit::S3Server;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

/// The address of a service that answers every request so.
fn service(status: &'static str, code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = [0; 8192];
            let _ = client.read(&mut request);
            let body = format!(
                "<Error><Code>{code}</Code><Message>Words of the service.</Message>\
                 <StringToSign>hunter2</StringToSign></Error>"
            );
            let _ = write!(
                client,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn answers_are_told_by_what_one_can_do() {
    use ErrorKind::{Full, InvalidConfig, PermissionDenied, Unreachable};
    let cases = [
        (
            "404 Not Found",
            "NoSuchBucket",
            InvalidConfig,
            "no such bucket",
        ),
        (
            "403 Forbidden",
            "InvalidAccessKeyId",
            PermissionDenied,
            "AWS_ACCESS_KEY_ID",
        ),
        (
            "403 Forbidden",
            "SignatureDoesNotMatch",
            PermissionDenied,
            "credentials",
        ),
        (
            "400 Bad Request",
            "ExpiredToken",
            PermissionDenied,
            "credentials",
        ),
        (
            "403 Forbidden",
            "RequestTimeTooSkewed",
            PermissionDenied,
            "clock",
        ),
        (
            "403 Forbidden",
            "AccessDenied",
            PermissionDenied,
            "refuses access",
        ),
        ("301 Moved", "PermanentRedirect", InvalidConfig, "`region`"),
        ("503 Slow Down", "SlowDown", Unreachable, "fewer requests"),
        (
            "429 Too Many Requests",
            "SlowDown",
            Unreachable,
            "fewer requests",
        ),
        (
            "500 Internal Server Error",
            "InternalError",
            Unreachable,
            "repeated",
        ),
        (
            "507 Insufficient Storage",
            "XMinioStorageFull",
            Full,
            "no room",
        ),
    ];
    for (status, code, kind, words) in cases {
        let config = config(&service(status, code), "answers").retries(1);
        let error = ObjectStoreConnector::connect(config).expect_err(code);
        assert_eq!(error.kind(), kind, "{code}: {error}");
        assert_eq!(error.is_retryable(), kind == Unreachable);
        let text = format!("{error} {error:?}");
        assert!(
            text.contains(words) && text.contains("s3://bucket"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_service_that_is_not_there_is_named() {
    let config = config("http://127.0.0.1:1", "nowhere").retries(1);
    let error = ObjectStoreConnector::connect(config).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = S3Server::start();
    let config = config(&server.endpoint(), "nowhere").bucket("bukcet");
    let error = ObjectStoreConnector::connect(config).expect_err("no bucket");
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    assert!(error.to_string().contains("bukcet"), "{error}");
}

fn read(text: &str) -> proxystore::Result<ObjectStoreConfig> {
    ObjectStoreConfig::from_url(Url::parse(text)?)
}

#[test]
fn a_url_says_it_all() {
    let config = read(
        "s3://me:a%2Fb@bucket/some/prefix/?endpoint=http://127.0.0.1:9000&region=here&namespace=n\
         &session_token=t&virtual_hosted=1&leases=off&timeout=2&connect_timeout=500ms&retries=3\
         &retry_timeout=9&clear=true",
    )
    .expect("sound");
    let wanted = ObjectStoreConfig::new(Provider::S3, "bucket")
        .prefix("some/prefix")
        .endpoint("http://127.0.0.1:9000")
        .region("here")
        .namespace("n")
        .username("me")
        .password("a/b")
        .session_token("t")
        .virtual_hosted(true)
        .leases(false)
        .timeout(Duration::from_secs(2))
        .connect_timeout(Duration::from_millis(500))
        .retries(3)
        .retry_timeout(Duration::from_secs(9))
        .clear_on_close(true);
    assert_eq!(config, wanted);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("a/b") && !shown.contains("\"t\""),
        "{shown}"
    );
    for text in [
        "gs://bucket?service_account=/keys/one.json&anonymous=true",
        "az://account:${KEY}@container/x?ca_file=/ca.pem",
        "az://account@container",
        "s3://${ID}:${KEY}@bucket/a%20?aws_profile=x",
    ] {
        let config = match read(text) {
            Ok(config) => config,
            Err(error) => {
                assert!(text.contains("%20"), "{text}: {error}");
                continue;
            }
        };
        let connector = ObjectStoreConnector::new(config.clone()).expect("sound");
        let url = connector.url().expect("no secret is in it");
        assert_eq!(read(&url).expect("sound"), config, "{url}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("s3://", "name the bucket"),
        ("s3://host:9000/bucket", "`endpoint`"),
        ("s3://bucket?endpiont=http://x", "did you mean `endpoint`?"),
        ("s3://bucket?endpoint=127.0.0.1:9000", "`endpoint`"),
        ("s3://bucket?endpoint=http://", "`endpoint`"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/../b", "prefix"),
        ("s3://bucket?namespace=a/b", "`namespace`"),
        ("s3://bucket?namespace=", "`namespace`"),
        ("s3://bucket?timeout=0", "`timeout`"),
        ("s3://me@bucket", "need one another"),
        ("s3://bucket?session_token=x", "`session_token`"),
        ("gs://me:word@bucket", "`service_account`"),
        ("gs://bucket?region=x", "`region`"),
        ("az://bucket?virtual_hosted=true", "`virtual_hosted`"),
        ("s3+profile://name?region=x", "profile"),
    ];
    for (text, words) in cases {
        let error = read(text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{text}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn secrets_go_nowhere_unless_told() {
    let told = |config: ObjectStoreConfig| {
        let connector = ObjectStoreConnector::new(config).expect("sound");
        let shown = format!("{connector:?} {connector}");
        assert!(!shown.contains("hunter2"), "{shown}");
        connector.url()
    };
    let inline = config("http://127.0.0.1:1", "secrets");
    assert!(inline.holds_secret());
    assert_eq!(told(inline.clone()), None);
    let referring = inline.clone().password("${OUR_SECRET}");
    assert!(!referring.holds_secret());
    let url = told(referring.clone()).expect("a reference");
    assert!(url.contains("${OUR_SECRET}"), "{url}");
    let telling = inline.allow_secret(true);
    assert!(told(telling).expect("it may be told").contains("hunter2"));
    // It is looked for where a connection is made.
    let error = ObjectStoreConnector::connect(referring).expect_err("not set");
    assert!(error.to_string().contains("OUR_SECRET"), "{error}");
}
