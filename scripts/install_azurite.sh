#!/usr/bin/env bash
# Installs Azurite, the server that stands in for Azure Blob Storage in the tests, into .build/azurite.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .build/azurite/node_modules/.bin/azurite-blob ] && exit 0
command -v npm >/dev/null || { echo 'npm is missing; on Debian and Ubuntu: apt-get install npm' >&2; exit 1; }
echo '==> Azurite (once; a minute)'
mkdir -p .build/azurite
npm install --prefix .build/azurite --silent --no-audit --no-fund --no-save azurite@3
