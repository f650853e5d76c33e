#!/usr/bin/env bash
# The tests talk to a real redis-server, which they start themselves; it only has to be installed.
# openssl makes the certificates for its TLS.
set -euo pipefail
command -v redis-server >/dev/null && command -v openssl >/dev/null && exit 0
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null; then
    echo 'redis-server is missing and there is no apt-get here: install Redis 6 or newer, then run this again' >&2
    exit 1
fi
echo '==> installing redis-server'
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server openssl >/dev/null
