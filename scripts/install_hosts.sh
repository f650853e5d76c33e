#!/usr/bin/env bash
# Tests of endpoints, and of a network that is cut, make hosts of their own, in network namespaces with
# firewalls between them. Where that is not allowed, or the tools cannot be had, they say so and stay on the loopback interface.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
command -v ip >/dev/null && command -v nft >/dev/null && exit 0
# Without root there would be no namespaces to use them in.
[ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || exit 0
echo '==> installing iproute2 and nftables'
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iproute2 nftables >/dev/null
