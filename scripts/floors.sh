#!/usr/bin/env bash
# Says which glibc, OpenSSL and libstdc++ a program and libraries need, and fails if it is more than docs/install.md
# states:
#
#   scripts/floors.sh FILE...
#
# FLOORS=report only says it: a program for this machine alone may need more.
set -euo pipefail
cd "$(dirname "$0")/.."

# Oldest versions on which weir runs, as docs/install.md states them: Debian 12, Ubuntu 22.04, RHEL 9, Amazon Linux 2023.
declare -A floors=([GLIBC]=2.34 [GLIBCXX]=3.4.29 [OPENSSL]=3.0.0)
# Libraries of the system that weir may need. Everything else is inside, or lies next to it.
allowed='^(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|libz|libssl|libcrypto|ld-linux-[a-z0-9-]+|linux-vdso)\.so'

highest() { # of FILE NAME
    { objdump -T "$1" | grep -oE "\(?$2_[0-9.]+" | grep -oE '[0-9.]+$' || true; } | sort -V | tail -1
}

failed=0
for file in "$@"; do
    said=
    for name in GLIBC GLIBCXX OPENSSL; do
        needs=$(highest "$file" "$name")
        [[ -z $needs ]] && continue
        said+=" $name $needs"
        if [[ $(printf '%s\n' "$needs" "${floors[$name]}" | sort -V | tail -1) != "${floors[$name]}" ]]; then
            echo "floors: $file needs $name $needs; docs/install.md states ${floors[$name]}" >&2
            failed=1
        fi
    done
    others=$(objdump -p "$file" | awk '$1 == "NEEDED" { print $2 }' | grep -vE "$allowed" || true)
    if [[ -n $others ]]; then
        echo "floors: $file needs" $others >&2
        failed=1
    fi
    echo "floors: $(basename "$file") needs$said"
done
[[ ${FLOORS:-check} == report ]] || exit $failed
