#!/usr/bin/env bash
# Lays weir out below a prefix, so that the program finds its pack and ONNX Runtime from any folder, or takes
# away what was laid out:
#
#   scripts/install.sh install WEIR PREFIX [DESTDIR]
#   scripts/install.sh uninstall PREFIX [DESTDIR]
#
# DESTDIR is put in front of every path, for those who make packages. `make install` and `make uninstall` call it,
# and `make dist` for the archive.
set -euo pipefail
cd "$(dirname "$0")/.."

action=${1:-}
weir=
if [[ $action == install ]]; then
    weir=${2:?which program to install}
    shift
fi
prefix=${2:?where to install}
destdir=${3:-}
if [[ $prefix != /* ]]; then
    echo "install: PREFIX ($prefix) is not an absolute path" >&2
    exit 2
fi
to=$destdir$prefix

completions=(
    "bash share/bash-completion/completions/weir"
    "zsh share/zsh/site-functions/_weir"
    "fish share/fish/vendor_completions.d/weir.fish"
)
pack=share/weir/models/weir-mini
man=share/man/man1
unit=lib/systemd/system/weir@.service

install_all() {
    if [[ ! -x $weir ]]; then
        echo "install: there is no program at $weir; make build" >&2
        exit 2
    fi
    local named=${ORT_DYLIB_PATH:-.weir/onnxruntime/libonnxruntime.so} library link file shell path
    if [[ ! -f $named ]]; then
        echo "install: there is no ONNX Runtime at $named; make setup" >&2
        exit 2
    fi
    # A new file, not new bytes in the old one: a worker may be running it.
    install -d "$to/bin" "$to/lib/weir" "$to/$pack" "$to/share/doc/weir" "$to/$man" "$(dirname "$to/$unit")"
    install -m 755 "$weir" "$to/bin/weir.new"
    mv -f "$to/bin/weir.new" "$to/bin/weir"
    library=$(readlink -f "$named")
    case $library in
        *.dylib) link=libonnxruntime.dylib ;;
        *) link=libonnxruntime.so ;;
    esac
    install -m 755 "$library" "$to/lib/weir/"
    if [[ $(basename "$library") != "$link" ]]; then
        ln -sf "$(basename "$library")" "$to/lib/weir/$link"
    fi
    for file in models/weir-mini/*; do
        # What `weir model tune` found belongs to the machine it was found on.
        case $(basename "$file") in tuned*) ;; *) install -m 644 "$file" "$to/$pack/" ;; esac
    done
    install -m 644 LICENSE README.md "$to/share/doc/weir/"
    for file in LICENSE ThirdPartyNotices.txt; do
        # A library that somebody else installed may be without them.
        path=$(dirname "$library")/$file
        if [[ -f $path ]]; then
            install -D -m 644 "$path" "$to/share/doc/weir/onnxruntime/$file"
        fi
    done
    for pair in "${completions[@]}"; do
        read -r shell path <<<"$pair"
        install -d "$(dirname "$to/$path")"
        "$weir" completions "$shell" >"$to/$path"
    done
    "$weir" man "$to/$man"
    sed "s|^ExecStart=/usr/local/|ExecStart=$prefix/|" deploy/systemd/weir@.service >"$to/$unit"
    echo "install: weir is at $prefix/bin/weir"
}

uninstall_all() {
    local path folder
    rm -f "$to/bin/weir" "$to"/lib/weir/libonnxruntime* "$to"/share/doc/weir/{LICENSE,README.md,THIRD-PARTY.txt}
    rm -f "$to"/share/doc/weir/onnxruntime/{LICENSE,ThirdPartyNotices.txt} "$to/$man"/{weir,weir-*}.1 "$to/$unit"
    for pair in "${completions[@]}"; do
        read -r _ path <<<"$pair"
        rm -f "$to/$path"
    done
    rm -rf "${to:?}/$pack"
    # Only what is empty: other packs may lie beside this one.
    for folder in share/weir/models share/weir share/doc/weir/onnxruntime share/doc/weir lib/weir; do
        rmdir "$to/$folder" 2>/dev/null || true
    done
    echo "uninstall: weir is gone from $prefix"
}

case $action in
    install) install_all ;;
    uninstall) uninstall_all ;;
    *)
        sed -n '2,9p' "$0" >&2
        exit 2
        ;;
esac
