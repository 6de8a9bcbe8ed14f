#!/usr/bin/env bash
# Gets what `make image-test` needs: buildah, which builds a Dockerfile without a container engine, mmdebstrap, which
# makes the base that debian:bookworm-slim is elsewhere, and the base itself under .weir/image (git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "setup-image: image-test makes mounts and changes its root: run it as root" >&2
    exit 1
fi
missing=()
for program in buildah mmdebstrap; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "setup-image: missing: ${missing[*]}; they are packages of Debian" >&2
        exit 1
    fi
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# The suite of the Dockerfile's own base, which its packages must fit.
suite=$(sed -n 's/^ARG DEBIAN=debian:\([a-z]*\)-slim$/\1/p' deploy/Dockerfile)
wanted=$(sha256sum tests/setup-image.sh | cut -d' ' -f1)-$suite
if [ "$(cat .weir/image/.version 2>/dev/null)" != "$wanted" ]; then
    echo "setup-image: making a base of Debian $suite (half a minute)"
    rm -rf .weir/image
    mkdir -p .weir/image
    # As debian:bookworm-slim: essential packages, without pages of manuals.
    mmdebstrap --quiet --mode=root --variant=minbase \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
        "$suite" .weir/image/base.tar - <<EOF
deb http://deb.debian.org/debian $suite main
deb http://deb.debian.org/debian $suite-updates main
deb http://deb.debian.org/debian-security $suite-security main
EOF
    echo "$wanted" >.weir/image/.version
fi
echo "setup-image: buildah, and a base of Debian $suite in .weir/image"
