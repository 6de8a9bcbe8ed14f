#!/usr/bin/env bash
# Runs the examples through weir and shows what came out. `make demo` builds weir first.
#
#   WEIR=path/to/weir examples/demo.sh
#
# Ends with an error if the run fails, if a record is lost, or if a planted value is found in the
# output: the demo checks itself.
set -euo pipefail

cd "$(dirname "$0")/.."
# Also for a program that was built outside of the tree.
export WEIR_MODELS=${WEIR_MODELS:-$PWD/models}
weir=${WEIR:-target/demo/weir}
out=examples/out

if [[ ! -x $weir ]]; then
    echo "error: no program at $weir" >&2
    echo "  fix: make demo, or WEIR=path/to/weir" >&2
    exit 2
fi

# An old output is removed only if it holds nothing but weir's own folders.
if [[ -e $out ]]; then
    foreign=$(find "$out" -mindepth 1 -maxdepth 1 ! -name entities ! -name redactions \
        ! -name dead_letters ! -name audit ! -name _weir)
    if [[ -n $foreign ]]; then
        echo "error: $out holds something that weir did not write: ${foreign//$'\n'/, }" >&2
        echo "  fix: move it away" >&2
        exit 2
    fi
    rm -r "$out"
fi

bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-} != dumb ]]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

say '$ weir run --config examples/weir.toml'
"$weir" run --config examples/weir.toml

python3 examples/demo.py "$out"

say '$ weir redact --label person --label "email address" --label "phone number" --show'
printf '%s\n' \
    'Mail Ana Ruiz, ana.ruiz@mail.example, or call +1 202 555 0143 before Friday.' \
    'The driver is Callum Reid and he has the parcel with him.' |
    "$weir" redact --label person --label "email address" --label "phone number" --show

say 'Where to look next'
cat <<END
  $out/entities      what is where, one record a document
  $out/redactions    the documents, redacted, in their own formats
  $out/dead_letters  what could not be processed, and why
  examples/tenants   the six policies: change one and run again
END
