//! `store …`: objects by URL.

use crate::arguments::{Form, ObjectArguments, StoreCommand};
use crate::output::{Output, human, table};
use crate::traffic::Way;
use crate::{Done, Failure, frame, progress};
use proxystore::codec::Object;
use proxystore::codec::tree::{MessagePack, Value as Tree};
use proxystore::connectors::shared_memory;
use proxystore::frame::Codec;
use proxystore::{Access, Key, Payload, Reference, Store};
use serde_json::{Value, json};
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) fn run(command: StoreCommand, output: &Output) -> Done {
    match command {
        StoreCommand::Put {
            url,
            file,
            form,
            reference,
            name,
        } => {
            let store = Store::open(name, &url)?;
            if !store.connector().capability().cross_process || url.starts_with("shm:") {
                return Err(format!(
                    "what {} holds ends with this command: use a store over files or a server",
                    store.connector()
                )
                .into());
            }
            put(&store, file.as_deref(), form, reference, output)
        }
        StoreCommand::Get {
            object,
            output: file,
            frame,
        } => get(&object, file, frame, output),
        StoreCommand::Ls { url: Some(url) } => list(&url, output),
        StoreCommand::Ls { url: None } => {
            let (sessions, lines) = sessions()?;
            output.show(&json!({ "sessions": sessions }), &lines)
        }
        StoreCommand::Stat { object } => stat(&object, output),
        StoreCommand::Rm { url, keys } => {
            let store = Store::open("proxystore", &url)?;
            let keys = keys
                .iter()
                .map(|key| Key::new(key))
                .collect::<Result<Vec<_>, _>>()?;
            remove(&store, &keys, output)
        }
    }
}

fn put(store: &Store, file: Option<&Path>, form: Form, reference: bool, output: &Output) -> Done {
    let bytes = match file.filter(|file| *file != Path::new("-")) {
        None => progress::read_all(std::io::stdin().lock(), None)?,
        Some(path) => {
            let named = |error| format!("{}: {error}", path.display());
            let file = File::open(path).map_err(named)?;
            let len = file.metadata()?.len();
            progress::read_all(file, Some(len))?
        }
    };
    let len = bytes.len() as u64;
    let key = progress::during(
        "putting",
        Way::Out,
        Some(len),
        || -> Result<Key, Failure> {
            Ok(match form {
                Form::Bytes => store.put(&bytes)?,
                Form::Text => store.put(
                    std::str::from_utf8(&bytes)
                        .map_err(|error| format!("no UTF-8 text: {error}"))?,
                )?,
                Form::Json => {
                    let tree: Value = serde_json::from_slice(&bytes)?;
                    store.put(&MessagePack(tree))?
                }
                Form::Frame => {
                    Object::parse(bytes.clone().into())?;
                    store
                        .connector()
                        .put(&Payload::from_bytes(&bytes).framed())?
                }
            })
        },
    )?;
    let line = if reference {
        store.reference(&key)?.to_text()
    } else {
        key.to_string()
    };
    let field = if reference { "reference" } else { "key" };
    output.show(
        &json!({ field: line, "bytes": len }),
        std::slice::from_ref(&line),
    )
}

/// The object that the arguments name.
fn find(arguments: &ObjectArguments) -> Result<(Key, Object), Failure> {
    let (store, key) = match &arguments.key {
        Some(key) => (Store::open("proxystore", &arguments.url)?, Key::new(key)?),
        None => {
            let reference: Reference = arguments.url.parse()?;
            (Store::of_reference(&reference)?, reference.key().clone())
        }
    };
    let found = progress::during("getting", Way::In, None, || {
        store.object(&key, Access::View)
    })?;
    match found {
        Some(object) => Ok((key, object)),
        None => Err(format!("{} has no object {key}", store.connector()).into()),
    }
}

fn get(arguments: &ObjectArguments, file: Option<PathBuf>, frame: bool, output: &Output) -> Done {
    let (_, object) = find(arguments)?;
    let tree;
    let mut is_json = false;
    let bytes: &[u8] = match object.codec() {
        _ if frame => object.blob(),
        Codec::MessagePack => {
            let value = proxystore::codec::tree::decode::<Tree>(&object)?;
            is_json = true;
            tree = serde_json::to_vec_pretty(&json_of(value)).map(|mut text| {
                text.push(b'\n');
                text
            })?;
            &tree
        }
        Codec::Pickle => {
            return Err(
                "the object is a pickled Python object, which only Python reads; \
                        --frame writes it as it is"
                    .into(),
            );
        }
        _ => object.buffer(0)?,
    };
    match file {
        Some(path) => {
            let named = |error| format!("{}: {error}", path.display());
            progress::write_all(File::create(&path).map_err(named)?, bytes)?;
            let codec = format!("{:?}", object.codec());
            let document = json!({ "file": path, "bytes": bytes.len(), "codec": codec });
            output.show(&document, &[])
        }
        None if output.json && !is_json => Err(
            "the content of an object is no JSON document: name a file for it with --output".into(),
        ),
        None if std::io::stdout().is_terminal() && bytes.contains(&0) => {
            Err("the object is binary: redirect the output, or name a file with --output".into())
        }
        None => output.bytes(bytes),
    }
}

/// What JSON has no form for becomes text, or numbers.
fn json_of(value: Tree) -> Value {
    match value {
        Tree::Nil => Value::Null,
        Tree::Bool(value) => json!(value),
        Tree::Int(value) => match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => json!(value),
            (_, Ok(value)) => json!(value),
            _ => json!(value.to_string()),
        },
        Tree::Float(value) if value.is_finite() => json!(value),
        Tree::Float(value) => json!(value.to_string()),
        Tree::Str(text) => json!(text),
        Tree::Bytes(bytes) => json!(bytes),
        Tree::List(values) => values.into_iter().map(json_of).collect(),
        Tree::Map(pairs) => {
            let pairs = pairs.into_iter().map(|(key, value)| match json_of(key) {
                Value::String(key) => (key, json_of(value)),
                key => (key.to_string(), json_of(value)),
            });
            Value::Object(pairs.collect())
        }
        _ => Value::Null,
    }
}

/// What is not there is named, as `rm` does; the others go.
fn remove(store: &Store, keys: &[Key], output: &Output) -> Done {
    let mut missing = Vec::new();
    for key in keys {
        if !store.exists(key)? {
            missing.push(key.as_str());
        }
    }
    store.evict_batch(keys)?;
    let removed = keys.len() - missing.len();
    output.show(&json!({ "removed": removed, "missing": missing }), &[])?;
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("{} has no object {}", store.connector(), missing.join(", ")).into()),
    }
}

fn list(url: &str, output: &Output) -> Done {
    let store = Store::open("proxystore", url)?;
    let mut keys = store.connector().keys()?;
    keys.sort_unstable();
    let lines: Vec<String> = keys.iter().map(Key::to_string).collect();
    output.show(&json!({ "keys": lines.clone() }), &lines)
}

fn stat(arguments: &ObjectArguments, output: &Output) -> Done {
    if arguments.key.is_some() || arguments.url.contains('#') {
        let (key, object) = find(arguments)?;
        let (mut document, mut lines) = frame::describe(&object);
        document["key"] = json!(key.as_str());
        lines.insert(0, format!("key       {key}"));
        return output.show(&document, &lines);
    }
    let store = Store::open("proxystore", &arguments.url)?;
    let connector = store.connector();
    let capability = connector.capability();
    let count = connector.keys().map(|keys| keys.len()).ok();
    let mut document = json!({
        "place": connector.to_string(),
        "kind": connector.kind(),
        "objects": count,
        "cross_process": capability.cross_process,
        "cross_host": capability.cross_host,
        "deferred_set": capability.deferred_set,
        "notify": capability.notify,
        "expiry": capability.expiry,
    });
    let reach = match (capability.cross_host, capability.cross_process) {
        (true, _) => "from other hosts",
        (_, true) => "from other processes of hosts that see it",
        _ => "in this process alone",
    };
    let count = count.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
    let lines = [
        format!("place    {connector}"),
        format!("objects  {count}"),
        format!("reached  {reach}"),
    ];
    let mut lines = lines.to_vec();
    if connector.kind() == "shared-memory" {
        let (held, table) = sessions()?;
        document["sessions"] = held;
        lines.extend(std::iter::once(String::new()).chain(table));
    }
    output.show(&document, &lines)
}

/// Who holds this machine's shared memory, and since when.
fn sessions() -> Result<(Value, Vec<String>), Failure> {
    let found = shared_memory::sessions(None)?;
    let seconds = |since: SystemTime| since.elapsed().map(|time| time.as_secs()).ok();
    let mut rows = vec![
        ["SESSION", "USED", "LIMIT", "SPILLED", "HELD BY"]
            .map(String::from)
            .to_vec(),
    ];
    let mut documents = Vec::new();
    for session in &found {
        let holders: Vec<_> = session
            .holders
            .iter()
            .map(|holder| {
                let age = holder.since.and_then(seconds);
                let line = match age {
                    Some(age) => format!("{} (for {})", holder.pid, span(age)),
                    None => holder.pid.to_string(),
                };
                (json!({ "pid": holder.pid, "seconds": age }), line)
            })
            .collect();
        let held = if holders.is_empty() {
            "nobody; the next opener removes it".to_owned()
        } else {
            let lines: Vec<_> = holders.iter().map(|(_, line)| line.as_str()).collect();
            lines.join(", ")
        };
        let usage = &session.usage;
        rows.push(vec![
            session.name.clone(),
            human(usage.used),
            human(usage.limit),
            human(usage.spilled),
            held,
        ]);
        documents.push(json!({
            "session": session.name,
            "dir": session.dir,
            "used": usage.used,
            "limit": usage.limit,
            "spilled": usage.spilled,
            "holders": holders.into_iter().map(|(document, _)| document).collect::<Value>(),
        }));
    }
    let lines = if found.is_empty() {
        vec!["nobody holds shared memory of proxystore on this machine".to_owned()]
    } else {
        table(&rows)
    };
    Ok((Value::Array(documents), lines))
}

/// A span of time for people.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
