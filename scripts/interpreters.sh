#!/usr/bin/env bash
# Prints the interpreters of Python 3.10 to 3.13 that are on the PATH or known to pyenv.
set -euo pipefail
for version in 3.10 3.11 3.12 3.13; do
    for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
        if "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            break
        fi
    done
done
