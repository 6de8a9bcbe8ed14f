#!/usr/bin/env bash
# Gets the jars of a real Apache Kafka for the tests, under .weir/kafka/libs (git-ignored).
# WEIR_TEST_KAFKA=host:port points the tests at a running cluster instead, all but the chaos tests: those
# kill their broker, and need one of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
has_java() { java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])'; }
if [ -z "${WEIR_TEST_KAFKA:-}" ]; then
    has_java || missing+=(openjdk-17-jre-headless)
    command -v mvn >/dev/null || missing+=(maven)
fi
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq "${missing[@]}"
    else
        echo "setup-tests: the tests with Kafka need a few packages; install them, for example:" >&2
        echo "  sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
if [ -n "${WEIR_TEST_KAFKA:-}" ]; then
    echo "setup-tests: using the Kafka at $WEIR_TEST_KAFKA"
    if ! has_java || ! command -v mvn >/dev/null; then
        echo "setup-tests: without Java 17 and Maven the chaos tests will fail: they need a broker to kill" >&2
        exit 0
    fi
fi
wanted=$(sha256sum tests/kafka/pom.xml | cut -d' ' -f1)
if [ "$(cat .weir/kafka/.pom 2>/dev/null)" != "$wanted" ]; then
    rm -rf .weir/kafka
    mkdir -p .weir/kafka
    mvn -q -B -C -f tests/kafka/pom.xml dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$PWD/.weir/kafka/libs"
    echo "$wanted" > .weir/kafka/.pom
fi
echo "setup-tests: Kafka's jars are in .weir/kafka/libs"
