#!/usr/bin/env bash
# Gets a real schema registry for the tests under .weir/registry (git-ignored): Apicurio Registry, which
# speaks Confluent's API. 3.0 is the last line that runs on Java 17; 3.3 wants Java 21.
# WEIR_TEST_SCHEMA_REGISTRY=http://host:port points the tests at a running registry instead.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -n "${WEIR_TEST_SCHEMA_REGISTRY:-}" ]; then
    echo "setup-tests: using the schema registry that WEIR_TEST_SCHEMA_REGISTRY names"
    exit 0
fi
version=3.0.9
if [ "$(cat .weir/registry/.version 2>/dev/null)" != "$version" ]; then
    rm -rf .weir/registry
    archive=$(mktemp -d)
    trap 'rm -rf "$archive"' EXIT
    # No pom: the archive holds all that it needs. Java and Maven are there since setup-kafka.sh.
    mvn -q -B -C dependency:copy "-Dartifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all" \
        "-DoutputDirectory=$archive"
    mkdir -p .weir/registry
    tar -xzf "$archive"/*.tar.gz -C .weir/registry
    echo "$version" > .weir/registry/.version
fi
echo "setup-tests: Apicurio Registry $version is in .weir/registry"
