#!/usr/bin/env bash
# Gets what scripts/wheels.py packs wheels with, under .weir/wheel (git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cmp -s scripts/wheels.txt .weir/wheel/.requirements; then
    rm -rf .weir/wheel
    python3 -m pip install -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        -r scripts/wheels.txt --target .weir/wheel
    cp scripts/wheels.txt .weir/wheel/.requirements
fi
