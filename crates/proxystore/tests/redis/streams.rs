//! Messages through a real server.

use super::config;
use proxystore::stream::redis::{
    RedisPublisher, RedisQueuePublisher, RedisQueueSubscriber, RedisStreamPublisher,
    RedisStreamSubscriber, RedisSubscriber, StreamPosition,
};
use proxystore::stream::{Publisher, Subscriber};
use proxystore::{ErrorKind, Payload};
use proxystore_testkit::RedisServer;
use std::time::{Duration, Instant};

const SHORT: Option<Duration> = Some(Duration::from_millis(50));
const LONG: Option<Duration> = Some(Duration::from_secs(20));

fn send(publisher: &mut impl Publisher, topic: &str, message: &[u8]) {
    publisher
        .send(topic, &Payload::from_bytes(message))
        .unwrap();
}

fn got(subscriber: &mut impl Subscriber) -> Vec<u8> {
    subscriber.receive(LONG).unwrap().unwrap().to_vec()
}

fn everything(subscriber: &mut impl Subscriber) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match subscriber.receive(SHORT) {
            Ok(message) => all.push(message.unwrap().to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
                return all;
            }
        }
    }
}

#[test]
fn a_queue_keeps_messages_for_one_consumer_each() {
    let server = RedisServer::start(&[]);
    let mut publisher = RedisQueuePublisher::new(config(&server)).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
    for message in [&b"1"[..], b"", &large, b"4"] {
        send(&mut publisher, "t", message);
    }
    publisher.close().unwrap();
    let mut first = RedisQueueSubscriber::new(config(&server), "t").unwrap();
    let mut second = RedisQueueSubscriber::new(config(&server), "t").unwrap();
    assert_eq!(got(&mut first), b"1");
    assert_eq!(got(&mut second), b"");
    assert_eq!(got(&mut second), large);
    assert_eq!(got(&mut first), b"4");
    assert!(everything(&mut first).is_empty());
    first.close().unwrap();
}

#[test]
fn whoever_waits_is_woken() {
    let server = RedisServer::start(&[]);
    let (queue, replayed) = (config(&server), config(&server));
    let listening = RedisSubscriber::new(config(&server), &["t", "u"]).unwrap();
    let waiting: Vec<Box<dyn Subscriber>> = vec![
        Box::new(RedisQueueSubscriber::new(queue, "queue").unwrap()),
        Box::new(RedisStreamSubscriber::new(replayed, "stream", &StreamPosition::New).unwrap()),
        Box::new(listening),
    ];
    let threads: Vec<_> = waiting
        .into_iter()
        .map(|mut one| {
            std::thread::spawn(move || one.receive(LONG).unwrap().map(|found| found.to_vec()))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    send(
        &mut RedisQueuePublisher::new(config(&server)).unwrap(),
        "queue",
        b"x",
    );
    send(
        &mut RedisStreamPublisher::new(config(&server)).unwrap(),
        "stream",
        b"x",
    );
    send(
        &mut RedisPublisher::new(config(&server)).unwrap(),
        "u",
        b"x",
    );
    for thread in threads {
        assert_eq!(thread.join().unwrap().unwrap(), b"x");
    }
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "woken, not polled"
    );
}

#[test]
fn a_channel_reaches_all_who_listen() {
    let server = RedisServer::start(&[]);
    let mut publisher = RedisPublisher::new(config(&server)).unwrap();
    send(&mut publisher, "t", b"nobody listens");
    let mut both = RedisSubscriber::new(config(&server), &["t", "u"]).unwrap();
    let mut one = RedisSubscriber::new(config(&server), &["u"]).unwrap();
    let large = vec![7; 500_000];
    for (topic, message) in [("t", &b"1"[..]), ("u", &large), ("v", b"3"), ("u", b"4")] {
        send(&mut publisher, topic, message);
    }
    assert_eq!(
        [got(&mut both), got(&mut both), got(&mut both)],
        [b"1".to_vec(), large.clone(), b"4".to_vec()]
    );
    assert_eq!([got(&mut one), got(&mut one)], [large, b"4".to_vec()]);
    assert!(everything(&mut one).is_empty());
    send(&mut publisher, "u", b"5"); // a wait that was in vain breaks nothing
    assert_eq!(got(&mut one), b"5");
}

fn numbers(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range
        .map(|number| number.to_string().into_bytes())
        .collect()
}

fn member(server: &RedisServer, name: &str) -> RedisStreamSubscriber {
    let first = StreamPosition::First;
    RedisStreamSubscriber::in_group(config(server), "t", &first, "g", name).unwrap()
}

#[test]
fn a_stream_is_replayed() {
    let server = RedisServer::start(&[]);
    let mut publisher = RedisStreamPublisher::new(config(&server)).unwrap();
    for message in numbers(0..100) {
        send(&mut publisher, "t", &message);
    }
    let start = |position| RedisStreamSubscriber::new(config(&server), "t", &position).unwrap();
    let mut first = start(StreamPosition::First);
    assert_eq!(everything(&mut first), numbers(0..100));
    let mut newest = start(StreamPosition::New);
    send(&mut publisher, "t", b"100");
    assert_eq!(everything(&mut newest), numbers(100..101));
    let mut late = start(StreamPosition::First);
    assert_eq!(got(&mut late), b"0");
    let mut resumed = start(StreamPosition::After(late.last_id().to_owned()));
    assert_eq!(everything(&mut resumed), numbers(1..101));
    let mut bounded = RedisStreamPublisher::new(config(&server))
        .unwrap()
        .max_length(10);
    for message in numbers(0..1000) {
        send(&mut bounded, "short", &message);
    }
    assert!(server.ask(&["XLEN", "short"]).parse::<u64>().unwrap() < 500);
}

#[test]
fn what_a_dead_member_did_not_finish_is_delivered_again() {
    let server = RedisServer::start(&[]);
    let mut publisher = RedisStreamPublisher::new(config(&server)).unwrap();
    for message in numbers(0..5) {
        send(&mut publisher, "t", &message);
    }
    let mut lost = member(&server, "a");
    assert_eq!([got(&mut lost), got(&mut lost)], [b"0", b"1"]);
    drop(lost); // 0 was finished when 1 was asked for
    let mut again = member(&server, "a");
    assert_eq!([got(&mut again), got(&mut again)], [b"1", b"2"]);
    drop(again);
    let mut other = member(&server, "b");
    assert_eq!(everything(&mut other), numbers(3..5));
    let mut heir = member(&server, "c").claim_after(Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(everything(&mut heir), numbers(2..3));
    other.close().unwrap();
    heir.close().unwrap();
    assert!(server.ask(&["XPENDING", "t", "g"]).starts_with('0'));
}

#[test]
fn a_server_that_is_not_there_or_refuses_says_so() {
    let server = RedisServer::start(&["--requirepass", "secret"]);
    let error = RedisSubscriber::new(config(&server), &["t"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let mut publisher = RedisQueuePublisher::new(config(&server)).unwrap();
    let error = publisher.send("t", &Payload::from_bytes(b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    let mut subscriber = RedisQueueSubscriber::new(config(&server), "t").unwrap();
    drop(server);
    let error = subscriber.receive(LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[test]
fn a_restarted_connection_goes_on() {
    let server = RedisServer::start(&[]);
    let mut publisher = RedisQueuePublisher::new(config(&server)).unwrap();
    let mut subscriber = RedisQueueSubscriber::new(config(&server), "t").unwrap();
    send(&mut publisher, "t", b"1");
    assert_eq!(got(&mut subscriber), b"1");
    let _ = server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    send(&mut publisher, "t", b"2");
    assert_eq!(got(&mut subscriber), b"2");
}
