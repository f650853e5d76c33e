//! The relay's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(proxystore_endpoint::relay::run(std::env::args_os()))
}
