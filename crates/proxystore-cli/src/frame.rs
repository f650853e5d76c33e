//! `frame inspect`: what a frame holds.

use crate::arguments::FrameCommand;
use crate::output::{Output, human};
use crate::{Done, Failure};
use proxystore::Blob;
use proxystore::codec::Object;
use proxystore::codec::ndarray::Description;
use proxystore::frame::{Codec, FLAG_BUFFER_CHECKSUM};
use serde_json::{Value, json};
use std::fs::File;

pub(crate) fn run(command: FrameCommand, output: &Output) -> Done {
    let FrameCommand::Inspect { file } = command;
    let named = |error| format!("{}: {error}", file.display());
    let opened = File::open(&file).map_err(named)?;
    let len = opened.metadata()?.len();
    let bytes = crate::progress::read_all(opened, Some(len))?;
    let object = Object::parse(bytes.into())
        .map_err(|error| Failure::from(format!("{}: {error}", file.display())))?;
    let (document, lines) = describe(&object);
    output.show(&document, &lines)
}

/// What is known of an object without decoding it.
pub(crate) fn describe(object: &Object) -> (Value, Vec<String>) {
    let bytes: &Blob = object.blob();
    let flags = u16::from_le_bytes([bytes[6], bytes[7]]);
    let checked = flags & FLAG_BUFFER_CHECKSUM != 0;
    let buffers: Vec<usize> = (0..object.buffer_count())
        .filter_map(|index| object.buffer(index).ok().map(<[u8]>::len))
        .collect();
    let checksum = if checked {
        "head, stream and buffers"
    } else {
        "head and stream"
    };
    let mut document = json!({
        "version": bytes[4],
        "codec": format!("{:?}", object.codec()),
        "total_bytes": object.byte_len(),
        "stream_bytes": object.stream().len(),
        "buffer_bytes": buffers,
        "checksum": { "sound": true, "covers": checksum },
    });
    let mut lines = vec![
        format!(
            "codec     {:?}: {}",
            object.codec(),
            meaning(object.codec())
        ),
        format!("version   {}", bytes[4]),
        format!(
            "size      {} ({} bytes)",
            human(object.byte_len() as u64),
            object.byte_len()
        ),
        format!("stream    {} bytes", object.stream().len()),
    ];
    lines.extend(
        buffers
            .iter()
            .take(16)
            .enumerate()
            .map(|(index, len)| format!("buffer {index}  {len} bytes")),
    );
    if buffers.len() > 16 {
        lines.push(format!("          and {} more buffers", buffers.len() - 16));
    }
    lines.push(format!("checksum  sound, of {checksum}"));
    if object.codec() == Codec::Ndarray
        && let Ok(array) = Description::parse(object.stream())
    {
        let order = if array.fortran_order { "F" } else { "C" };
        let unit = String::from_utf8_lossy(&array.unit).into_owned();
        document["array"] = json!({
            "kind": format!("{:?}", array.kind),
            "item_bytes": array.item_size,
            "shape": array.shape.as_slice(),
            "order": order,
            "big_endian": array.big_endian,
            "unit": unit,
        });
        lines.push(format!(
            "array     {:?} of {} bytes{}, shape {:?}, order {order}",
            array.kind,
            array.item_size,
            if array.big_endian {
                ", most significant byte first"
            } else {
                ""
            },
            array.shape.as_slice(),
        ));
    }
    (document, lines)
}

fn meaning(codec: Codec) -> &'static str {
    match codec {
        Codec::Pickle => "a Python object, which only Python reads",
        Codec::Bytes => "bytes",
        Codec::Str => "text",
        Codec::Ndarray => "an n-dimensional array",
        Codec::MessagePack => "a plain tree of values",
        Codec::Arrow => "an Arrow table",
        Codec::Foreign => "what a user's own serializer made",
        _ => "unknown to this program",
    }
}
