#!/usr/bin/env bash
# Packs weir for a machine without a compiler: an archive that runs where it is unpacked, and its checksum.
#
#   scripts/dist.sh WEIR OUT
#
# The same program gives the same bytes: files are sorted, and as old as the last commit (or SOURCE_DATE_EPOCH).
# `make dist` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
weir=$(realpath "${1:?which program to pack}")
mkdir -p "${2:?where to put the archive}"
out=$(realpath "$2")

version=$("$weir" --version | cut -d' ' -f2)
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
name=weir-$version-$target
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}"
export SOURCE_DATE_EPOCH

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
umask 022

# Debug information and symbols are more than half of it.
cp "$weir" "$stage/weir"
strip --strip-all "$stage/weir"
library=${ORT_DYLIB_PATH:-.weir/onnxruntime/libonnxruntime.so}
scripts/floors.sh "$stage/weir" "$library"
if [[ ! -f $(dirname "$(readlink -f "$library")")/ThirdPartyNotices.txt ]]; then
    echo "dist: ONNX Runtime at $library is without its licences; make setup" >&2
    exit 2
fi

scripts/notices.py --target "$target" >"$stage/THIRD-PARTY.txt"
scripts/install.sh install "$stage/weir" /usr/local "$stage/root" >/dev/null
mv "$stage/root/usr/local" "$stage/$name"
install -m 644 "$stage/THIRD-PARTY.txt" "$stage/$name/share/doc/weir/"
install -m 755 scripts/install-unpacked.sh "$stage/$name/install.sh"

archive=$out/$name.tar.gz
tar --create --directory "$stage" --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" \
    --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w "$name" | gzip --no-name "-${GZIP_LEVEL:-9}" >"$archive.part"
mv "$archive.part" "$archive"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "dist: $archive, $(($(stat -c %s "$archive") / 1000000)) MB; the program has $(($(stat -c %s "$stage/weir") / 1000000)) MB"
