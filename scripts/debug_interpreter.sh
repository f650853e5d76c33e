#!/usr/bin/env bash
# Prints the debug build of the distribution's Python, installed where it is missing. Its
# interpreter checks what a release build takes on trust, and counts every reference.
set -euo pipefail
debug() {
    version=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "/usr/bin/python${version}d"
}
if ! { [ -x /usr/bin/python3 ] && "$(debug)" -c 'import ensurepip' 2>/dev/null; }; then
    if ! command -v apt-get >/dev/null; then
        echo 'there is no debug interpreter and no apt-get here: build CPython with --with-pydebug and run: make test-debug DEBUG_PYTHON=python3.Xd' >&2
        exit 1
    fi
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo '==> installing the debug interpreter' >&2
    $sudo apt-get update -qq >&2
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-dbg python3-dev python3-venv >&2
fi
debug
