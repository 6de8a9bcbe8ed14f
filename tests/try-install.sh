#!/usr/bin/env bash
# Does what somebody does who has just got weir, and measures how long it takes until the first redaction:
#
#   tests/try-install.sh archive weir-VERSION-TARGET.tar.gz
#   tests/try-install.sh wheels FOLDER [FOLDER…]
#
# As another user, if this one is root: a fresh id with an empty home, no cargo, no variable that points to anything,
# no network for pip. The limit is a minute; TRY_SECONDS sets another one for a machine that is busy.
set -euo pipefail
kind=${1:?archive or wheels}
shift
limit=${TRY_SECONDS:-60}
python=${WEIR_TEST_PYTHON:-/usr/bin/python3}

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
mkdir "$home/got"
for from in "$@"; do
    if [[ -d $from ]]; then cp "$from"/*.whl "$home/got/"; else cp "$from" "$home/got/"; fi
done
as=(env -i HOME="$home" PATH=/usr/bin:/bin LANG=C.UTF-8)
if [[ $(id -u) == 0 ]]; then
    user=61234
    chown -R $user:$user "$home"
    as=(setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs "${as[@]}")
else
    echo "try-install: as this user: only root can become another one"
fi

text='Mail Ana Ruiz, ana.ruiz@mail.example, before Friday.'
expected='Mail [PERSON], [EMAIL], before Friday.'
case $kind in
    archive) get="tar -xzf got/*.tar.gz && mv weir-* weir" weir=weir/bin/weir ;;
    # Environments of pip have `pip` in them; nothing is fetched.
    wheels)
        get="$python -m venv env && env/bin/pip install -q --disable-pip-version-check --no-index --find-links got weir-redact"
        weir=env/bin/weir
        ;;
esac

# Processor time of what ended so far, in ticks: on a busy machine the seconds say little.
processor() { awk '{ print $16 + $17 }' /proc/$$/stat; }

cd "$home"
before=$(processor)
start=$(date +%s.%N)
"${as[@]}" bash -c "$get"
found=$(echo "$text" | "${as[@]}" "$weir" redact -l person -p email)
took=$(awk -v start="$start" -v end="$(date +%s.%N)" 'BEGIN { printf "%.1f", end - start }')
worked=$(awk -v before="$before" -v after="$(processor)" -v ticks="$(getconf CLK_TCK)" \
    'BEGIN { printf "%.1f", (after - before) / ticks }')
again=$(date +%s.%N)
echo "$text" | "${as[@]}" "$weir" redact -l person -p email >/dev/null
one=$(awk -v start="$again" -v end="$(date +%s.%N)" 'BEGIN { printf "%.1f", end - start }')
if [[ $found != "$expected" ]]; then
    echo "try-install: $kind: \"$found\" instead of \"$expected\"" >&2
    exit 1
fi

# A job from nothing, in a folder of its own, with the program at another place.
case $kind in
    archive)
        "${as[@]}" weir/install.sh "$home/.local" >/dev/null
        rm -rf weir
        weir=$home/.local/bin/weir
        "${as[@]}" grep -q "^ExecStart=$home/.local/bin/weir run" .local/lib/systemd/system/weir@.service
        files="share/man/man1/weir-run.1 share/doc/weir/THIRD-PARTY.txt share/doc/weir/onnxruntime/ThirdPartyNotices.txt"
        prefix=$home/.local
        ;;
    wheels)
        # As pipx does it.
        "${as[@]}" mkdir -p .local/bin
        "${as[@]}" ln -s "$home/env/bin/weir" .local/bin/weir
        weir=$home/.local/bin/weir
        files="share/man/man1/weir-run.1 share/bash-completion/completions/weir share/weir/models/weir-mini/CARD.md"
        prefix=$home/env
        ;;
esac
for file in $files; do
    if [[ ! -s $prefix/$file ]]; then
        echo "try-install: $kind: $prefix is without $file" >&2
        exit 1
    fi
done
"${as[@]}" mkdir empty
cd empty
"${as[@]}" "$weir" init --preset json job >/dev/null
for step in check test run; do
    "${as[@]}" "$weir" $step --config job/weir.toml >"$home/said" 2>&1 || {
        cat "$home/said" >&2
        exit 1
    }
done
"${as[@]}" "$weir" model verify >/dev/null

echo "try-install: $kind: first redaction after $took s ($worked s of processor time), the next one after $one s"
if awk -v took="$took" -v limit=$limit 'BEGIN { exit !(took >= limit) }'; then
    echo "try-install: $kind: the limit is $limit s" >&2
    exit 1
fi
