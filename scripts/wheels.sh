#!/usr/bin/env bash
# Builds what a release is made of into dist/, and tries each piece: the program behind the commands
# and a manylinux wheel around it for every interpreter that is here, an sdist that builds without a
# network, and the crates. ONLY="3.11 3.12" takes these interpreters alone.
set -euo pipefail
cd "$(dirname "$0")/.."
# The oldest glibc that the wheels are for: 2.17 is that of 2012. Zig brings its symbols.
glibc=2.17
platform=manylinux_${glibc/./_}
tools=.build/wheels
python=${PYTHON:-python3}
# Where the package looks for the program, and maturin when it packs.
packed=python/proxystore/_bin/proxystore

# Names a stage, and says how long the one before took.
began=$SECONDS
stage() {
    [ "$began" = "$SECONDS" ] || echo "    $((SECONDS - began)) s"
    began=$SECONDS
    echo "==> $*"
}

stage tools
[ -x "$tools/bin/python" ] || "$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin[zig]>=1.9,<2' \
    'cargo-zigbuild>=0.20,<0.30' auditwheel
export PATH="$PWD/$tools/bin:$PATH"
rm -rf dist
read -ra only <<<"${ONLY:-}"
mapfile -t interpreters < <(scripts/interpreters.sh "${only[@]}")
[ ${#interpreters[@]} -gt 0 ] || { echo 'no interpreter of Python 3.10 to 3.13 is here' >&2; exit 1; }
tag_of() { "$1" -c 'import sys; print(sys.implementation.cache_tag.replace("cpython-", "cp"))'; }

clean=$(mktemp -d)
# The developer's own program, of an editable installation, comes back at the end.
[ ! -e "$packed" ] || cp -p "$packed" "$clean/developer"
cleanup() {
    rm -f "$packed"
    [ ! -e "$clean/developer" ] || cp -p "$clean/developer" "$packed"
    rm -rf "$clean"
}
trap cleanup EXIT

stage the commands, once for all wheels
triple=$(rustc -vV | sed -n 's/^host: //p')
cargo zigbuild --quiet --locked --profile commands --target "$triple.$glibc" -p proxystore-cli
install -D -m 755 "$(cargo metadata --no-deps --format-version 1 |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/$triple/commands/proxystore" "$packed"

for interpreter in "${interpreters[@]}"; do
    real=$("$interpreter" -c 'import sys; print(sys.executable)')
    stage "wheel for $("$real" -V)"
    PYO3_PYTHON=$real maturin build --quiet --release --locked --zig --compatibility "$platform" \
        --interpreter "$real" --out dist
done
stage "auditwheel: ${#interpreters[@]} wheels should be $platform"
for wheel in dist/*.whl; do
    # Of the program as well: auditwheel looks at every ELF file.
    auditwheel show "$wheel" | tr '\n' ' ' | grep -q "consistent with the following platform tag: \"${platform}_" ||
        { echo "$wheel needs more than $platform:" >&2; auditwheel show "$wheel" >&2; exit 1; }
done
python scripts/check_symbols.py dist/*.whl
stage each in a clean environment

for interpreter in "${interpreters[@]}"; do
    tag=$(tag_of "$interpreter")
    "$interpreter" -m venv "$clean/$tag"
    "$clean/$tag/bin/python" -m pip install --quiet --disable-pip-version-check dist/*-"$tag"-*.whl
    (cd "$clean" && "$tag/bin/python" "$OLDPWD/scripts/try_wheel.py")
done

stage sdist, built without a network
maturin sdist --out dist >/dev/null
tar -xzf dist/*.tar.gz -C "$clean"
sdist=$(echo "$clean"/proxystore-*/)
cargo fetch --quiet --manifest-path "$sdist/Cargo.toml"
first=${interpreters[0]}
"$first" -m venv "$clean/sdist"
# What the package needs comes from an index as ever; the package itself may not use one.
"$clean/sdist/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' dist/*-"$(tag_of "$first")"-*.whl
"$clean/sdist/bin/python" -m pip uninstall --quiet --yes proxystore
CARGO_NET_OFFLINE=true PATH="$clean/sdist/bin:$PATH" "$clean/sdist/bin/python" -m pip install --quiet \
    --disable-pip-version-check --no-index --no-build-isolation --no-deps dist/*.tar.gz
(cd "$clean" && sdist/bin/python "$OLDPWD/scripts/try_wheel.py" --without-commands)

stage crates
cargo publish --quiet --workspace --dry-run --no-verify
# As whoever adds them would build them; the program's own was built above.
cargo publish --quiet --workspace --exclude proxystore-cli --dry-run
stage all of it
ls -l dist
