#!/usr/bin/env bash
# The tests talk to a real nats-server, which they start themselves; it only has to be installed.
set -euo pipefail
command -v nats-server >/dev/null && exit 0
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null; then
    echo 'nats-server is missing and there is no apt-get here: install NATS 2.9 or newer, then run this again' >&2
    exit 1
fi
echo '==> installing nats-server'
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nats-server >/dev/null
