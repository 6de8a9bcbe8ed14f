#!/bin/sh
# Copies what was unpacked next to this script below a prefix. weir also runs where it was unpacked: bin/weir.
#
#   ./install.sh [PREFIX]       default: /usr/local
set -eu
from=$(cd "$(dirname "$0")" && pwd)
prefix=${1:-/usr/local}
case $prefix in
    /*) ;;
    *)
        echo "install: PREFIX ($prefix) is not an absolute path" >&2
        exit 2
        ;;
esac
mkdir -p "$prefix/bin"
# A new file, not new bytes in the old one: a worker may be running it.
cp "$from/bin/weir" "$prefix/bin/weir.new"
mv -f "$prefix/bin/weir.new" "$prefix/bin/weir"
cp -R "$from/lib" "$from/share" "$prefix/"
unit=lib/systemd/system/weir@.service
sed "s|^ExecStart=/usr/local/|ExecStart=$prefix/|" "$from/$unit" >"$prefix/$unit"
echo "install: weir is at $prefix/bin/weir"
