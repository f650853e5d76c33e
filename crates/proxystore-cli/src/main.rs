//! The binary `proxystore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    proxystore_cli::run(std::env::args_os())
}
