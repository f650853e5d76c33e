"""Brokers that streams go through.

| module | broker | kept until read | each message goes to |
|---|---|---|---|
| `queue` | a queue of threads or processes | yes | one consumer |
| `redis` pub/sub | Redis | no | every consumer that listens |
| `redis` queue | Redis list | yes | one consumer |
| `redis_streams` | Redis stream | yes, and after | every consumer, or one of each group |
| `zmq` | ZeroMQ, no broker | no | every consumer that listens |
| `kafka` | Kafka | yes, and after | every consumer, or one of each group |
| `nats` | NATS JetStream | yes, and after | every consumer, or one of each group |

Their client packages are installed by extras of this distribution:
`pip install 'proxystore[redis]'`, `[zmq]`, `[kafka]`, `[nats]`. A broker that is not
here needs two small classes, see `proxystore.stream.protocols`.

Example:
    >>> from proxystore.stream.protocols import MessagePublisher
    >>> class Recorder:
    ...     def __init__(self):
    ...         self.messages = []
    ...     def send_message(self, topic, message):
    ...         self.messages.append((topic, message))
    ...     def close(self): ...
    >>> isinstance(Recorder(), MessagePublisher)
    True
"""
