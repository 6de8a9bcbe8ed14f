#!/usr/bin/env bash
# A virtual environment with what the tests of tools/ need, under .weir/python (git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "setup: python3-venv is missing; install it, for example: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
wanted=$(cat tools/requirements-test.txt tools/requirements-train.txt scripts/torch-without-cuda.py | sha256sum | cut -d' ' -f1)
if [ "$(cat .weir/python/.requirements 2>/dev/null)" != "$wanted" ]; then
    python3 -m venv .weir/python
    .weir/python/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-test.txt
    # PyTorch without the 2 GB of CUDA libraries that its build for Linux on x86 asks for
    .weir/python/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r tools/requirements-train.txt
    .weir/python/bin/python scripts/torch-without-cuda.py "$(.weir/python/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    echo "$wanted" > .weir/python/.requirements
fi
echo "setup: Python packages for the tests are in .weir/python"
