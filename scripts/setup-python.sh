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
wanted=$(sha256sum tools/requirements-test.txt | cut -d' ' -f1)
if [ "$(cat .weir/python/.requirements 2>/dev/null)" != "$wanted" ]; then
    python3 -m venv .weir/python
    .weir/python/bin/python -m pip install -q --disable-pip-version-check -r tools/requirements-test.txt
    echo "$wanted" > .weir/python/.requirements
fi
echo "setup: Python packages for the tests are in .weir/python"
