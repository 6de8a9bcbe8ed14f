#!/usr/bin/env bash
# Builds the real S3 server that the store tests start: versitygw, pinned, in .weir/bin (git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.8.0
server=.weir/bin/versitygw
# Built by `go install`, the binary does not know its version: it stands beside it.
if [ -n "${WEIR_TEST_S3_URL:-}" ]; then
    echo "setup-tests: the tests use the S3 of WEIR_TEST_S3_URL"
    exit 0
fi
if [ -x "$server" ] && [ "$(cat "$server.version" 2>/dev/null)" = "$version" ]; then
    echo "setup-tests: versitygw $version is in .weir/bin"
    exit 0
fi
if ! command -v go >/dev/null; then
    # Go before 1.21 cannot fetch the newer toolchain that versitygw's go.mod asks for, and Debian's is
    # older than that: this is not installed in silence.
    echo "setup-tests: go is missing: install Go 1.21 or newer from https://go.dev/dl/ (the golang-go of" >&2
    echo "  Debian 12 is too old), then run \`make setup-tests\` again; or point the tests at another S3" >&2
    echo "  with WEIR_TEST_S3_URL, see CONTRIBUTING.md" >&2
    exit 1
fi
echo "setup-tests: building versitygw $version (about two minutes)"
mkdir -p .weir/bin
GOBIN="$PWD/.weir/bin" go install "github.com/versity/versitygw/cmd/versitygw@$version"
echo "$version" >"$server.version"
echo "setup-tests: versitygw $version is in .weir/bin"
