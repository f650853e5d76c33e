//! A line that throttles and breaks: what was put is there, what is got is right, nothing is left.

use super::{config, open};
use proxystore::connectors::object_store::ObjectStoreConnector;
use proxystore::{Access, Connector, ConnectorExt, Error, ErrorKind, Key};
use proxystore_testkit::{FaultProxy, LineFault, S3Server, content};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// In three parts.
const IN_PARTS: usize = 17 << 20;

fn assert_documented(error: &Error) {
    let documented = [ErrorKind::Unreachable, ErrorKind::Timeout];
    assert!(documented.contains(&error.kind()), "{error}");
    assert!(error.is_retryable());
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

fn assert_holds(connector: &ObjectStoreConnector, key: &Key, bytes: &[u8]) {
    let found = connector.get(key, Access::Auto).expect("get");
    assert!(found.expect("what was put is there")[..] == *bytes, "torn");
}

/// Parts are taken back by the time that an error is told, or soon after.
fn assert_no_parts(server: &S3Server) {
    let until = Instant::now() + Duration::from_secs(30);
    while server.parts() > 0 {
        assert!(Instant::now() < until, "{} parts left", server.parts());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Each request in turn meets a fault, and is not repeated: a put then fails, and leaves nothing.
#[test]
fn one_fault_at_each_moment() {
    let server = S3Server::start();
    let direct = open(config(&server.endpoint(), "moments"));
    let bytes = content(1, IN_PARTS);
    let kept = direct.put_bytes(&bytes).expect("put");
    let (mut failed_puts, mut failed_gets) = (0, 0);
    for fault in [
        LineFault::Throttled,
        LineFault::RequestCut(300),
        LineFault::RequestCut(1 << 20),
        LineFault::AnswerCut(20),
        LineFault::AnswerCut(1 << 20),
    ] {
        // The beginning, three parts, the end; a get has four requests.
        for moment in 0..5 {
            let plan = move |number| {
                if number == moment {
                    fault
                } else {
                    LineFault::None
                }
            };
            let once = |endpoint: &str| config(endpoint, "moments").retries(0);
            let proxy = FaultProxy::start(server.port(), plan);
            let connector = open(once(&proxy.endpoint()));
            match connector.put_bytes(&bytes) {
                Ok(key) => assert_holds(&direct, &key, &bytes),
                Err(error) => {
                    failed_puts += 1;
                    assert_documented(&error);
                    let key = error.key().expect("the key that it was to have");
                    // The last request may have been carried out; it is taken back then.
                    let until = Instant::now() + Duration::from_secs(30);
                    while direct.exists(key).expect("exists") {
                        assert!(Instant::now() < until, "a failed put left its object");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
            assert_no_parts(&server);
            let proxy = FaultProxy::start(server.port(), plan);
            let connector = open(once(&proxy.endpoint()));
            match connector.get(&kept, Access::Auto) {
                Ok(found) => assert!(found.expect("it is there")[..] == bytes, "torn"),
                Err(error) => {
                    failed_gets += 1;
                    assert_documented(&error);
                }
            }
        }
    }
    assert!(
        failed_puts > 10 && failed_gets > 5,
        "{failed_puts}, {failed_gets}"
    );
}

/// Some threads over a line on which every third connection breaks: repetition hides it.
#[test]
fn many_faults_are_borne() {
    let server = S3Server::start();
    let direct = open(config(&server.endpoint(), "storm"));
    let proxy = FaultProxy::start(server.port(), |number| {
        let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let most = (chance >> 4) % (6 << 20);
        match chance % 10 {
            0 => LineFault::Throttled,
            1 => LineFault::RequestCut(most),
            2 => LineFault::AnswerCut(most),
            _ => LineFault::None,
        }
    });
    let connector = open(config(&proxy.endpoint(), "storm").retries(12));
    let put = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (connector, put) = (&connector, &put);
            scope.spawn(move || {
                for (round, len) in [10, 100_000, 3 << 20, 12 << 20, IN_PARTS]
                    .iter()
                    .enumerate()
                {
                    let bytes = content(thread * 10 + round as u64, *len);
                    match connector.put_bytes(&bytes) {
                        Ok(key) => {
                            match connector.get(&key, Access::Auto) {
                                Ok(found) => assert!(found.expect("just put")[..] == bytes, "torn"),
                                Err(error) => assert_documented(&error),
                            }
                            put.lock().expect("no panic").push((key, bytes));
                        }
                        Err(error) => assert_documented(&error),
                    }
                }
            });
        }
    });
    let put = put.into_inner().expect("no panic");
    assert!(put.len() >= 10, "only {} puts went through", put.len());
    assert!(proxy.faults() > 5);
    for (key, bytes) in &put {
        assert_holds(&direct, key, bytes);
    }
    assert_no_parts(&server);
    let keys: Vec<_> = put.into_iter().map(|(key, _)| key).collect();
    let kept = |name: &String| keys.iter().any(|key| name.ends_with(key.as_str()));
    let until = Instant::now() + Duration::from_secs(30);
    while !server.names().iter().all(kept) {
        assert!(Instant::now() < until, "a failed put left something");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let server = S3Server::start();
    let proxy = FaultProxy::start(server.port(), |_| LineFault::Silent);
    let config = config(&proxy.endpoint(), "silent");
    let connector = open(config.timeout(Duration::from_millis(500)).retries(1));
    let began = Instant::now();
    let error = connector.put_bytes(b"x").expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("`timeout`"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30));
}
