#!/usr/bin/env bash
# Gets what the tests of installing need: the wheels that weir's own depends on, ONNX Runtime with its own dependencies,
# under .weir/wheelhouse (git-ignored) for the system's Python; versions and hashes are those of tools/. And
# systemd-analyze, which reads the unit.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup-wheels.sh
# Any user can run it: one of root's home is no use for the test.
python=${WEIR_TEST_PYTHON:-/usr/bin/python3}
missing=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v setpriv >/dev/null || missing+=(util-linux)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
    else
        echo "setup: the tests of installing need a few packages: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
packages="onnxruntime flatbuffers numpy packaging protobuf"
wanted=$(echo "$version $packages" | cat - tests/setup-install.sh tools/requirements-test.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat .weir/wheelhouse/.wanted 2>/dev/null)" != "$wanted" ]; then
    rm -rf .weir/wheelhouse
    mkdir -p .weir/wheelhouse
    for package in $packages; do
        # Its line of requirements with the hashes that go on below.
        awk -v package="$package==" 'index($0, package) == 1 { on = 1 } on { print } on && !/\\$/ { exit }' \
            tools/requirements-test.txt
    done >.weir/wheelhouse/requirements.txt
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --python-version "$version" -r .weir/wheelhouse/requirements.txt -d .weir/wheelhouse
    echo "$wanted" >.weir/wheelhouse/.wanted
fi
echo "setup-tests: the wheels that weir depends on are in .weir/wheelhouse"
