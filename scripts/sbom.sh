#!/usr/bin/env bash
# Writes what the program is made of, as CycloneDX: scripts/sbom.sh FOLDER writes FOLDER/weir.cdx.json. Crates of the
# build and of tests are not in it. Builds cargo-cyclonedx first, under .weir/cyclonedx (git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:?where to write}
version=0.5.9
if [ "$(cat .weir/cyclonedx/.version 2>/dev/null)" != "$version" ]; then
    echo "sbom: building cargo-cyclonedx $version (minutes)"
    cargo install --quiet --locked --root .weir/cyclonedx "cargo-cyclonedx@$version"
    echo "$version" >.weir/cyclonedx/.version
fi
mkdir -p "$folder"
# The same bytes for the same lock file: the time is that of the commit, and no random serial number is kept.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .weir/cyclonedx/bin/cargo-cyclonedx cyclonedx --format json \
    --spec-version 1.5 --no-build-deps --override-filename weir.cdx
mv weir.cdx.json "$folder/"
echo "sbom: $folder/weir.cdx.json"
