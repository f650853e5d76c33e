#!/usr/bin/env bash
# Prints the interpreters of Python 3.10 to 3.13, or of the versions given, that are on the PATH or
# known to pyenv.
set -euo pipefail
[ $# -gt 0 ] || set -- 3.10 3.11 3.12 3.13
for version; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
        if "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            break
        fi
    done
done
