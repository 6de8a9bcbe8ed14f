#!/usr/bin/env bash
# Builds the real OpenTelemetry Collector that `make test-collector` starts, in .weir/bin (git-ignored): a few minutes
# of all cores and a gigabyte of Go's module cache, which is why `make setup-tests` leaves it out.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v0.161.0
collector=.weir/bin/otelcol
wanted=$(sha256sum tests/collector/builder.yaml | cut -d' ' -f1)
if [ -x "$collector" ] && [ "$(cat "$collector.version" 2>/dev/null)" = "$wanted" ]; then
    echo "setup-collector: the collector $version is in .weir/bin"
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "setup-collector: go is missing: install Go 1.25 or newer from https://go.dev/dl/ and run this again" >&2
    exit 1
fi
echo "setup-collector: building the OpenTelemetry Collector $version (a few minutes)"
mkdir -p .weir/bin
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
GOBIN="$folder" go install "go.opentelemetry.io/collector/cmd/builder@$version"
sed "s#OUTPUT#$folder/out#" tests/collector/builder.yaml >"$folder/builder.yaml"
"$folder/builder" --config "$folder/builder.yaml"
# Under its name only when it is whole: another checkout may share this folder.
cp "$folder/out/otelcol" "$collector.new"
mv "$collector.new" "$collector"
echo "$wanted" >"$collector.version"
echo "setup-collector: the collector $version is in .weir/bin"
