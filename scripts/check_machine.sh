#!/usr/bin/env bash
# Says what a build needs and this machine lacks, with the command that brings it.
set -euo pipefail
python=${1:-python3}
missing=0
lacks() {
    echo "missing: $1" >&2
    missing=1
}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
    lacks "Python 3.10 or newer as '$python'; name another with: make ... PYTHON=python3.12"
command -v cc >/dev/null ||
    lacks "a C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev"
if command -v cargo >/dev/null; then
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")
    found=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n1)" = "$wanted" ] ||
        lacks "Rust $wanted or newer (found $found): rustup update"
    cargo fmt --version >/dev/null 2>&1 || lacks "rustfmt: rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || lacks "clippy: rustup component add clippy"
else
    lacks "Rust: see https://rustup.rs"
fi
exit "$missing"
