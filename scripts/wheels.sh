#!/usr/bin/env bash
# Builds what a release is made of into dist/, and tries each piece: a manylinux wheel for every
# interpreter that is here, an sdist that builds without a network, and the crates.
set -euo pipefail
cd "$(dirname "$0")/.."
# The oldest glibc that the wheels are for: 2.17 is that of 2012. Zig brings its symbols.
platform=manylinux_2_17
tools=.build/wheels
python=${PYTHON:-python3}

echo '==> tools'
[ -x "$tools/bin/python" ] || "$python" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin[zig]>=1.9,<2' auditwheel
export PATH="$PWD/$tools/bin:$PATH"
rm -rf dist
mapfile -t interpreters < <(scripts/interpreters.sh)
[ ${#interpreters[@]} -gt 0 ] || { echo 'no interpreter of Python 3.10 to 3.13 is here' >&2; exit 1; }

for interpreter in "${interpreters[@]}"; do
    real=$("$interpreter" -c 'import sys; print(sys.executable)')
    echo "==> wheel for $("$real" -V)"
    PYO3_PYTHON=$real maturin build --quiet --release --locked --zig --compatibility "$platform" \
        --interpreter "$real" --out dist
done
for wheel in dist/*.whl; do
    auditwheel show "$wheel" | tr '\n' ' ' | grep -q "consistent with the following platform tag: \"${platform}_" ||
        { echo "$wheel needs more than $platform:" >&2; auditwheel show "$wheel" >&2; exit 1; }
done
echo "==> auditwheel: ${#interpreters[@]} wheels are $platform"

clean=$(mktemp -d)
trap 'rm -rf "$clean"' EXIT
for interpreter in "${interpreters[@]}"; do
    tag=$("$interpreter" -c 'import sys; print(sys.implementation.cache_tag.replace("cpython-", "cp"))')
    "$interpreter" -m venv "$clean/$tag"
    "$clean/$tag/bin/python" -m pip install --quiet --disable-pip-version-check dist/*-"$tag"-*.whl
    (cd "$clean" && "$tag/bin/python" "$OLDPWD/scripts/try_wheel.py")
done

echo '==> sdist, built without a network'
maturin sdist --out dist
tar -xzf dist/*.tar.gz -C "$clean"
sdist=$(echo "$clean"/proxystore-*/)
cargo fetch --quiet --manifest-path "$sdist/Cargo.toml"
first=${interpreters[0]}
"$first" -m venv "$clean/sdist"
# What the package needs comes from an index as ever; the package itself may not use one.
"$clean/sdist/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' dist/*-"$("$first" -c 'import sys; print(sys.implementation.cache_tag.replace("cpython-", "cp"))')"-*.whl
"$clean/sdist/bin/python" -m pip uninstall --quiet --yes proxystore
CARGO_NET_OFFLINE=true PATH="$clean/sdist/bin:$PATH" "$clean/sdist/bin/python" -m pip install --quiet \
    --disable-pip-version-check --no-index --no-build-isolation --no-deps dist/*.tar.gz
(cd "$clean" && sdist/bin/python "$OLDPWD/scripts/try_wheel.py")

echo '==> crates'
cargo publish --quiet --workspace --dry-run --no-verify
ls -l dist
