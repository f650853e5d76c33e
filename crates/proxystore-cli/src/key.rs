//! `proxystore key`.

use crate::Done;
use crate::arguments::KeyCommand;
use crate::output::Output;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(crate) fn run(command: &KeyCommand, output: &Output) -> Done {
    match command {
        KeyCommand::New { file } => new(file, output),
    }
}

fn new(path: &Path, output: &Output) -> Done {
    let key = proxystore::seal::new_key()?;
    if path == Path::new("-") {
        return output.show(&serde_json::json!({ "value": key }), &[key]);
    }
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| format!("{}: {error}", path.display()))?;
    writeln!(file, "{key}")?;
    let shown = std::path::absolute(path)?;
    let shown = shown.display();
    output.show(
        &serde_json::json!({ "key": format!("file:{shown}") }),
        &[format!("file:{shown}")],
    )
}
