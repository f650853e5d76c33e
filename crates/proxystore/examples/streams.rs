//! Sends and receives a stream over Redis. The tests in `tests/both_ways` run it beside Python.
//!
//! ```text
//! streams send PORT BROKER TOPIC STORE_URL       an array, a map and a text, and the end
//! streams receive PORT BROKER TOPIC              says what each value is, until the end
//! ```
//!
//! `send-async` and `receive-async` do the same by awaiting. `BROKER` is `queue`, `stream`, `group` or `channel`.

use proxystore::codec::Encode;
use proxystore::codec::tree::{MessagePack, Value};
use proxystore::codec::{AnyArray, Decode, Encoded, Object};
use proxystore::connectors::redis::RedisConfig;
use proxystore::frame::Codec;
use proxystore::stream::redis::{
    RedisPublisher, RedisQueuePublisher, RedisQueueSubscriber, RedisStreamPublisher,
    RedisStreamSubscriber, RedisSubscriber, StreamPosition,
};
use proxystore::stream::{AsyncStreamConsumer, AsyncStreamProducer};
use proxystore::stream::{Metadata, Received, StreamConsumer, StreamProducer};
use proxystore::{Error, ErrorKind, Result, Store};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

/// What this stream's values are.
enum Sample {
    Array(AnyArray),
    Map(MessagePack<BTreeMap<&'static str, Vec<i64>>>),
    Text(String),
}

impl Encode for Sample {
    fn encode(&self) -> Result<Encoded<'_>> {
        match self {
            Self::Array(array) => array.encode(),
            Self::Map(map) => map.encode(),
            Self::Text(text) => text.encode(),
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["send", port, broker, topic, url] => send(producer(port, broker)?, topic, url),
        ["receive", port, broker, topic] => receive(consumer(port, broker, topic)?),
        ["send-async", port, broker, topic, url] => {
            block_on(send_async(producer(port, broker)?, topic, url))
        }
        ["receive-async", port, broker, topic] => {
            block_on(receive_async(consumer(port, broker, topic)?))
        }
        _ => {
            eprintln!(
                "usage: streams send[-async] PORT BROKER TOPIC STORE_URL | receive[-async] PORT BROKER TOPIC"
            );
            std::process::exit(2);
        }
    }
}

fn server(port: &str) -> Result<RedisConfig> {
    let port = port
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidConfig, format!("{port:?} is no port")))?;
    Ok(RedisConfig::default().port(port))
}

fn producer(port: &str, broker: &str) -> Result<StreamProducer<Sample>> {
    let server = server(port)?;
    Ok(match broker {
        "queue" => StreamProducer::new(RedisQueuePublisher::new(server)?),
        "stream" | "group" => StreamProducer::new(RedisStreamPublisher::new(server)?),
        _ => StreamProducer::new(RedisPublisher::new(server)?),
    })
}

fn consumer(port: &str, broker: &str, topic: &str) -> Result<StreamConsumer<Object>> {
    let (server, first) = (server(port)?, StreamPosition::First);
    Ok(match broker {
        "queue" => StreamConsumer::new(RedisQueueSubscriber::new(server, topic)?),
        "stream" => StreamConsumer::new(RedisStreamSubscriber::new(server, topic, &first)?),
        "group" => {
            let member = RedisStreamSubscriber::in_group(server, topic, &first, "rust", "member")?;
            StreamConsumer::new(member)
        }
        _ => StreamConsumer::new(RedisSubscriber::new(server, &[topic])?),
    })
}

/// Values, whether their consumer evicts them, and what is sent along.
fn samples() -> Result<Vec<(Sample, bool, Metadata)>> {
    let mut samples = Vec::new();
    for len in [3_u32, 100_000] {
        let numbers: Vec<f64> = (0..len).map(f64::from).collect();
        let array = Sample::Array(AnyArray::from_slice(&[u64::from(len)], &numbers)?);
        let metadata = Metadata::new().with("what", "array").with("len", len);
        samples.push((array, true, metadata));
    }
    let map = BTreeMap::from([("a", vec![1, 2]), ("b", vec![])]);
    samples.push((Sample::Map(MessagePack(map)), true, Metadata::new()));
    let text = Sample::Text("räume ☃".repeat(1000));
    samples.push((text, false, Metadata::new().with("kept", true)));
    Ok(samples)
}

fn into_batches(producer: StreamProducer<Sample>, url: &str) -> Result<StreamProducer<Sample>> {
    let store = Store::open("streams, from Rust", url)?;
    Ok(producer.store(&store).batch_size(2).inline_below(1000))
}

fn send(producer: StreamProducer<Sample>, topic: &str, url: &str) -> Result<()> {
    let mut producer = into_batches(producer, url)?;
    for (sample, evict, metadata) in samples()? {
        producer.send_with(topic, sample, evict, metadata)?;
    }
    producer.close_topic(topic)?;
    producer.close()
}

async fn send_async(producer: StreamProducer<Sample>, topic: &str, url: &str) -> Result<()> {
    let mut producer = AsyncStreamProducer::from(into_batches(producer, url)?);
    for (sample, evict, metadata) in samples()? {
        producer.send_with(topic, sample, evict, metadata).await?;
    }
    producer.close_topic(topic).await?;
    producer.close().await
}

async fn receive_async(consumer: StreamConsumer<Object>) -> Result<()> {
    let mut consumer = AsyncStreamConsumer::from(consumer);
    show("listening");
    while let Some(received) = consumer.next().await {
        let received = received?;
        let (metadata, inline) = (describe(&received.metadata), received.proxy.is_resolved());
        received.proxy.resolve_async().await?;
        show(&format!("{metadata} {inline} {}", held(&received)?));
    }
    consumer.close().await
}

/// A runtime of one thread, as small as they get.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

fn receive(mut consumer: StreamConsumer<Object>) -> Result<()> {
    show("listening");
    while let Some(received) = consumer.receive(PATIENCE)? {
        let (metadata, inline) = (describe(&received.metadata), received.proxy.is_resolved());
        show(&format!("{metadata} {inline} {}", held(&received)?));
    }
    consumer.close()
}

fn describe(metadata: &Metadata) -> String {
    let pairs = metadata.iter().map(|(name, value)| match (name, value) {
        (Value::Str(name), Value::Int(number)) => format!("{name}={number}"),
        (name, value) => format!("{name:?}={value:?}"),
    });
    format!("[{}]", pairs.collect::<Vec<_>>().join(","))
}

fn held(received: &Received<Object>) -> Result<String> {
    let object = received.proxy.resolve()?;
    Ok(match object.codec() {
        Codec::Ndarray => {
            let array = AnyArray::decode(object)?;
            let sum: u64 = array.memory().iter().map(|byte| u64::from(*byte)).sum();
            format!("array {:?} {sum}", array.shape())
        }
        Codec::MessagePack => format!("tree {:?}", Value::decode(object)?),
        Codec::Str => format!("str {}", String::decode(object)?),
        other => format!("{other:?}"),
    })
}

#[allow(clippy::print_stdout)] // its output is what it is for
fn show(line: &str) {
    use std::io::Write;
    println!("{line}");
    let _ = std::io::stdout().flush();
}
