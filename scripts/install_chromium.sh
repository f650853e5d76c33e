#!/usr/bin/env bash
# A test looks at the metrics report in a browser; it only has to be installed.
set -euo pipefail
command -v chromium >/dev/null && exit 0
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
if ! command -v apt-get >/dev/null; then
    echo 'chromium is missing and there is no apt-get here: install Chromium, then run this again' >&2
    exit 1
fi
echo '==> installing chromium'
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
