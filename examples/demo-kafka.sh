#!/usr/bin/env bash
# The streaming job on a Kafka of its own: `make demo-kafka` builds weir and gets Kafka's jars first.
#
#   WEIR=path/to/weir examples/demo-kafka.sh
#
# Starts a broker on a free port, writes documents to a topic, runs weir on it, kills the worker
# half-way, and counts what came out. Ends with an error if a record is lost or doubled.
set -euo pipefail

cd "$(dirname "$0")/.."
# Also for a program that was built outside of the tree.
export WEIR_MODELS=${WEIR_MODELS:-$PWD/models}
weir=${WEIR:-target/release/weir}

fail() {
    printf 'error: %s\n  fix: %s\n' "$1" "$2" >&2
    exit 2
}
[[ -x $weir ]] || fail "no program at $weir" "make build, or WEIR=path/to/weir"
command -v java >/dev/null || fail "no java" "install a Java runtime, 17 or newer (openjdk-17-jre-headless)"
[[ -f .weir/kafka/libs/kafka-tools-4.1.1.jar ]] || fail "no Kafka in .weir/kafka" "make setup-tests"

export WEIR=$weir
exec python3 examples/demo_kafka.py
