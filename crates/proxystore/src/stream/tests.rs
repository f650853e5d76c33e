use super::*;
use crate::codec::tree::{MessagePack, Value};
use crate::connectors::memory::MemoryConnector;
use crate::{Error, ErrorKind, Key, Store, StoreBuilder};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SOON: Option<Duration> = Some(Duration::from_secs(10));

fn store() -> (Store, Arc<MemoryConnector>) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let connector = Arc::new(MemoryConnector::new());
    let name = format!("stream-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let store = StoreBuilder::new(name).connect(connector.clone());
    store.register().unwrap();
    (store, connector)
}

fn pair(topic: &str) -> (StreamProducer<String>, StreamConsumer<String>) {
    let channel = Channel::new();
    let consumer = StreamConsumer::new(channel.subscriber(topic));
    (StreamProducer::new(channel.publisher()), consumer)
}

fn next(consumer: &mut StreamConsumer<String>) -> Received<String> {
    consumer.receive(SOON).unwrap().unwrap()
}

fn keys(connector: &MemoryConnector) -> usize {
    use crate::Connector;
    connector.keys().unwrap().len()
}

#[test]
fn values_of_a_store_are_evicted_once_they_are_resolved() {
    let (store, connector) = store();
    let (producer, mut consumer) = pair("t");
    let mut producer = producer.store(&store);
    let metadata = Metadata::new().with("n", 1);
    producer
        .send_with("t", "gone".into(), true, metadata.clone())
        .unwrap();
    producer
        .send_with("t", "kept".into(), false, Metadata::new())
        .unwrap();
    let gone = next(&mut consumer);
    assert_eq!((gone.topic.as_str(), gone.metadata), ("t", metadata));
    assert!(!gone.proxy.is_resolved());
    assert_eq!(keys(&connector), 2);
    assert_eq!(gone.proxy.resolve().unwrap(), "gone");
    assert_eq!(keys(&connector), 1);
    let kept = next(&mut consumer);
    assert_eq!(kept.proxy.resolve().unwrap(), "kept");
    assert_eq!(keys(&connector), 1);
    store.unregister();
}

#[test]
fn a_batch_is_one_message_and_ends_with_the_stream() {
    let channel = Channel::new();
    let mut raw = channel.subscriber("t");
    let mut producer = StreamProducer::new(channel.publisher()).batch_size(2);
    for word in ["a", "b", "c"] {
        producer.send("t", word.to_owned()).unwrap();
    }
    producer.close_topic("t").unwrap();
    producer.close_topic("t").unwrap(); // sends nothing
    let error = producer.send("t", "d".to_owned()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    producer.close().unwrap();
    drop(producer);
    let mut sizes = Vec::new();
    while let Some(message) = raw.receive(SOON).unwrap() {
        sizes.push(Message::decode(message).unwrap().events.len());
    }
    assert_eq!(sizes, [2, 2]);
}

#[test]
fn an_iterator_ends_with_the_stream() {
    let (mut producer, mut consumer) = pair("t");
    producer.send("t", "a".into()).unwrap();
    producer.close_topic("t").unwrap();
    let words: Vec<_> = consumer.by_ref().map(|one| one.unwrap()).collect();
    assert_eq!(words.len(), 1);
    let error = consumer
        .receive(Some(Duration::from_millis(1)))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    drop(producer);
    assert!(consumer.receive(None).unwrap().is_none());
}

#[test]
fn small_values_travel_in_the_event() {
    let (store, connector) = store();
    let (producer, mut consumer) = pair("t");
    let mut producer = producer.store(&store).inline_below(1000).batch_size(3);
    for len in [10, 2000, 20] {
        producer.send("t", "x".repeat(len)).unwrap();
    }
    assert_eq!(keys(&connector), 1);
    for len in [10, 2000, 20] {
        let received = next(&mut consumer);
        assert_eq!(received.proxy.is_resolved(), len != 2000);
        assert_eq!(received.proxy.resolve().unwrap().len(), len);
        assert!(received.proxy.reference().is_err());
    }
    assert_eq!(keys(&connector), 0);
    store.unregister();
}

#[test]
fn a_message_holds_a_bounded_number_of_bytes() {
    let mut inlining = Inlining::new(100 << 10);
    let taken = (0..100)
        .filter(|_| inlining.takes((100 << 10) - 1, true))
        .count();
    assert_eq!(taken, 5);
    let mut one_large = Inlining::new(1 << 20);
    assert!(one_large.takes((1 << 20) - 1, true));
    assert!(!one_large.takes(100, true));
}

#[cfg(feature = "async")]
#[test]
fn awaiting_loses_nothing_and_leaves_no_thread() {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Instant;

    let channel = Channel::new();
    let mut producer = StreamProducer::new(channel.publisher());
    let mut context = Context::from_waker(Waker::noop());
    let poll = |consumer: &mut AsyncStreamConsumer<String>, context: &mut Context<'_>| {
        pin!(consumer.next()).poll(context)
    };
    let consumer = |topic| {
        let consumer = StreamConsumer::<String>::new(channel.subscriber(topic));
        AsyncStreamConsumer::from(consumer)
    };
    let (mut one, mut other) = (consumer("one"), consumer("other"));
    // The futures are dropped; both consumers wait.
    assert!(poll(&mut one, &mut context).is_pending());
    assert!(poll(&mut other, &mut context).is_pending());
    for topic in ["one", "other"] {
        producer.send(topic, topic.to_owned()).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    for (consumer, topic) in [(&mut one, "one"), (&mut other, "other")] {
        let received = loop {
            assert!(Instant::now() < deadline);
            if let Poll::Ready(received) = poll(consumer, &mut context) {
                break received.unwrap().unwrap();
            }
            std::thread::yield_now();
        };
        assert_eq!(received.proxy.resolve().unwrap(), topic);
    }
    assert!(poll(&mut one, &mut context).is_pending());
    let value = one.consumer();
    drop(one);
    while value.strong_count() > 0 {
        assert!(
            Instant::now() < deadline,
            "the thread still has the consumer"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(crate::fork::in_child(|| {
        let Poll::Ready(Some(Err(error))) = poll(&mut other, &mut context) else {
            return false;
        };
        error.kind() == ErrorKind::Closed
    }));
}

#[test]
fn filters_drop_and_evict() {
    let (store, connector) = store();
    let channel = Channel::new();
    let mut producer = StreamProducer::<String>::new(channel.publisher())
        .store(&store)
        .filter(|metadata| metadata.get("secret").is_some());
    let mut consumer = StreamConsumer::<String>::new(channel.subscriber("t"))
        .filter(|metadata| metadata.get("dull").is_some());
    let send = |producer: &mut StreamProducer<String>, name: &str, evict| {
        let metadata = Metadata::new().with(name, true);
        producer.send_with("t", name.into(), evict, metadata)
    };
    send(&mut producer, "secret", true).unwrap();
    assert_eq!(keys(&connector), 0);
    send(&mut producer, "dull", true).unwrap();
    send(&mut producer, "dull", false).unwrap();
    send(&mut producer, "good", false).unwrap();
    assert_eq!(next(&mut consumer).proxy.resolve().unwrap(), "good");
    assert_eq!(keys(&connector), 2); // the one that is kept, and the good one
    store.unregister();
}

#[test]
fn an_aggregator_makes_one_of_a_batch() {
    let (producer, mut consumer) = pair("t");
    let mut producer = producer
        .batch_size(2)
        .aggregator(|words| words.iter().map(|word| word.as_str()).collect());
    for (number, word) in ["a", "b"].into_iter().enumerate() {
        let metadata = Metadata::new().with(word, true).with("last", number as u64);
        producer
            .send_with("t", word.into(), true, metadata)
            .unwrap();
    }
    let received = next(&mut consumer);
    assert_eq!(received.proxy.resolve().unwrap(), "ab");
    let expected = Metadata::new()
        .with("a", true)
        .with("last", 1)
        .with("b", true);
    assert_eq!(received.metadata, expected);
}

/// Fails while it is told to.
struct Flaky(ChannelPublisher, Arc<AtomicBool>);

impl Publisher for Flaky {
    fn send(&mut self, topic: &str, message: &Payload<'_>) -> Result<()> {
        if self.1.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unreachable, "no broker"));
        }
        self.0.send(topic, message)
    }
}

#[test]
fn a_failed_batch_leaves_no_objects_and_can_be_sent_again() {
    let (store, connector) = store();
    let (channel, fails) = (Channel::new(), Arc::new(AtomicBool::new(true)));
    let publisher = Flaky(channel.publisher(), fails.clone());
    let mut producer = StreamProducer::new(publisher).store(&store).batch_size(2);
    producer.send("t", "1".to_owned()).unwrap();
    producer.send("t", "2".to_owned()).unwrap_err();
    assert_eq!(keys(&connector), 0);
    producer.close_topic("t").unwrap_err();
    fails.store(false, Ordering::Relaxed);
    producer.send("t", "2".to_owned()).unwrap(); // as the caller does who saw it fail
    producer.close_topic("t").unwrap();
    let consumer = StreamConsumer::<String>::new(channel.subscriber("t"));
    let words: Vec<_> = consumer
        .map(|one| one.unwrap().proxy.resolve().unwrap().clone())
        .collect();
    assert_eq!(words, ["1", "2"]);
    store.unregister();
}

#[test]
fn a_slow_consumer_holds_a_bounded_channel_back() {
    let channel = Channel::with_capacity(2);
    let mut publisher = channel.publisher();
    let mut subscriber = channel.subscriber("t");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let thread = std::thread::spawn(move || {
        for number in 0..100_u8 {
            publisher
                .send("t", &Payload::from_bytes(&[number]))
                .unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    for number in 0..100_u8 {
        assert_eq!(&subscriber.receive(SOON).unwrap().unwrap()[..], [number]);
        assert!(sent.load(Ordering::SeqCst) <= usize::from(number) + 4);
    }
    thread.join().unwrap();
    assert!(subscriber.receive(None).unwrap().is_none());
}

fn place(url: Option<&str>) -> StorePlace {
    StorePlace {
        name: "results".into(),
        url: url.map(str::to_owned),
        python: Value::Nil,
    }
}

fn samples() -> Vec<(&'static str, Message)> {
    use crate::codec::Encode;
    let frame = |value: &dyn Encode| {
        let encoded = value.encode().unwrap();
        Blob::from(encoded.with_payload(|payload| payload.to_vec()))
    };
    let key = Key::new("06bq0000000000000000000001").unwrap();
    let one = |event| {
        let mut message = Message::new("topic", vec![event]);
        message.is_batch = false;
        message
    };
    let by_key = Event::Key {
        key,
        evict: true,
        metadata: Metadata::new().with("number", 7).with("name", "räume"),
        store: place(Some("redis://127.0.0.1:6379/0")),
    };
    let inline = Event::Object {
        frame: frame(&MessagePack(vec![1, 2, 3])),
        metadata: Metadata::new(),
        store: Some(place(Some("redis://127.0.0.1:6379/0"))),
    };
    let without_store = Event::Object {
        frame: frame(&"hello"),
        metadata: Metadata::new().with("ratio", 0.5),
        store: None,
    };
    vec![
        ("end", one(Event::End)),
        ("key", one(by_key.clone())),
        ("object", one(without_store.clone())),
        (
            "batch",
            Message::new("topic", vec![by_key, inline, without_store, Event::End]),
        ),
    ]
}

/// The bytes are what programs of other releases and languages read: see `docs/streams.md`.
#[test]
fn golden_bytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    for (name, message) in samples() {
        let written = message
            .encode(|encoded| encoded.with_payload(|p| p.to_vec()))
            .unwrap();
        let path = folder.join(format!("stream-{name}.message"));
        if std::env::var_os("PROXYSTORE_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        assert_eq!(written, std::fs::read(&path).unwrap(), "{name}");
        let read = Message::decode(written.into()).unwrap();
        let again = read
            .encode(|encoded| encoded.with_payload(|p| p.to_vec()))
            .unwrap();
        assert_eq!(again, std::fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn what_is_no_message_is_refused() {
    use crate::codec::Encode;
    let bytes = |value: &dyn Encode| {
        let encoded = value.encode().unwrap();
        Blob::from(encoded.with_payload(|payload| payload.to_vec()))
    };
    let text = |text: &str| Value::Str(text.into());
    let message = |version: i64, events: Value| {
        bytes(&Value::Map(vec![
            (text("version"), version.into()),
            (text("topic"), text("t")),
            (text("unknown"), Value::Nil),
            (text("stores"), Value::List(vec![])),
            (text("events"), events),
        ]))
    };
    let event = |pairs: Vec<(Value, Value)>| message(2, vec![Value::Map(pairs)].into());
    let cases = [
        (bytes(&"text"), ErrorKind::WrongType),
        (bytes(&MessagePack(1)), ErrorKind::WrongType),
        (bytes(&Value::Map(vec![])), ErrorKind::WrongType),
        (message(3, text("other")), ErrorKind::NewerFrame),
        (
            event(vec![(text("type"), text("new"))]),
            ErrorKind::NewerFrame,
        ),
        (
            event(vec![(text("type"), text("key"))]),
            ErrorKind::WrongType,
        ),
        (
            event(vec![(text("type"), text("object"))]),
            ErrorKind::WrongType,
        ),
        (
            event(vec![
                (text("type"), text("object")),
                (text("object"), Value::Bytes(vec![])),
                (text("metadata"), Value::Map(vec![])),
                (text("store"), 1_i64.into()),
            ]),
            ErrorKind::WrongType,
        ),
        (Blob::from(b"PXF".to_vec()), ErrorKind::InvalidFrame),
    ];
    for (place, (bytes, kind)) in cases.into_iter().enumerate() {
        let error = Message::decode(bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{place}: {error}");
    }
    let end = event(vec![
        (text("type"), text("end")),
        (text("more"), Value::Nil),
    ]);
    assert!(matches!(
        Message::decode(end).unwrap().events[..],
        [Event::End]
    ));
}

#[test]
fn a_damaged_message_never_panics() {
    for (_, message) in samples() {
        let good = message
            .encode(|encoded| encoded.with_payload(|p| p.to_vec()))
            .unwrap();
        for at in 0..good.len() {
            let _ = Message::decode(good[..at].to_vec().into());
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let _ = Message::decode(bad.into());
        }
    }
}

#[test]
fn a_store_that_cannot_be_opened_says_so() {
    let error = place(None).store().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let secret = place(Some("redis://:secret@h:1/0"));
    assert!(!format!("{secret:?}").contains("secret"));
}
