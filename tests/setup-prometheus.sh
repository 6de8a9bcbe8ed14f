#!/usr/bin/env bash
# Gets a real Prometheus and promtool for the tests, under .weir/prometheus (git-ignored): Debian's package,
# unpacked and not installed, so that no service starts. Where both programs are on the PATH, the tests use those.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.weir/prometheus
works() { "$folder/prometheus" --version >/dev/null 2>&1 && "$folder/promtool" --version >/dev/null 2>&1; }
if ! works; then
    rm -rf "$folder"
    mkdir -p "$folder"
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
        ln -s "$(command -v prometheus)" "$(command -v promtool)" "$folder"
    elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then
        unpacked=$(mktemp -d)
        trap 'rm -rf "$unpacked"' EXIT
        # Without root the lists have to be there already.
        if [ "$(id -u)" = 0 ]; then apt-get update -qq; fi
        # Root's temporary folder is closed to the user that apt downloads as.
        (cd "$unpacked" && apt-get download -qq -o APT::Sandbox::User=root prometheus >/dev/null)
        dpkg-deb -x "$unpacked"/prometheus_*.deb "$unpacked/all"
        cp "$unpacked/all/usr/bin/prometheus" "$unpacked/all/usr/bin/promtool" "$folder"
    else
        echo "setup-tests: prometheus and promtool are missing: install Prometheus 2.42 or newer so that both are" >&2
        echo "  on the PATH (https://prometheus.io/download), then run \`make setup-tests\` again" >&2
        exit 1
    fi
    if ! works; then
        echo "setup-tests: $folder/prometheus does not start; run it to see why" >&2
        exit 1
    fi
fi
echo "setup-tests: Prometheus $("$folder/prometheus" --version 2>&1 | sed -nE '1s/.*version ([^ ]+).*/\1/p') is in $folder"
