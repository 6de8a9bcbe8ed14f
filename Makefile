SHELL := bash
# Where cargo builds: CARGO_TARGET_DIR or a user's cargo configuration may have moved it.
target = $$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
release = $(target)/release
export ORT_DYLIB_PATH ?= $(firstword $(wildcard $(CURDIR)/.weir/onnxruntime/libonnxruntime.so $(CURDIR)/.weir/onnxruntime/libonnxruntime.dylib) $(CURDIR)/.weir/onnxruntime/libonnxruntime.so)

# A pack by its name, also where cargo builds outside of the tree.
export WEIR_MODELS ?= $(CURDIR)/models
# Where `make install` puts weir. DESTDIR goes in front of it, for those who make packages.
PREFIX ?= /usr/local
# The program to install, such as target/release/weir: nothing is built then, so that root needs no cargo.
WEIR ?=

comma := ,
space := $() $()

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: setup
setup: ## Get ONNX Runtime; name or install missing system packages
	@scripts/setup.sh

.PHONY: setup-tests
setup-tests: setup ## Also get what the tests need: real S3, Kafka and Prometheus servers, Python packages, tokenizers
	@tests/setup-s3.sh
	@tests/setup-kafka.sh
	@tests/setup-registry.sh
	@tests/setup-prometheus.sh
	@scripts/setup-python.sh
	@tests/setup-tokenizers.sh
	@tests/setup-llama.sh
	@tests/setup-chart.sh
	@tests/setup-install.sh

.PHONY: build
build: setup ## Build weir (release)
	cargo build --release --locked

.PHONY: install
install: $(if $(WEIR),,build) ## Install weir, its pack, ONNX Runtime and completions below PREFIX (/usr/local)
	@scripts/install.sh install "$(or $(WEIR),$(release)/weir)" "$(PREFIX)" "$(DESTDIR)"

.PHONY: uninstall
uninstall: ## Remove what `make install` put below PREFIX
	@scripts/install.sh uninstall "$(PREFIX)" "$(DESTDIR)"

# Where `make dist` and `make wheels` put what they make.
OUT_DIST ?= target/dist

.PHONY: dist
dist: $(if $(WEIR),setup,build) ## Pack an archive for machines without a compiler, of WEIR or a release build, into OUT_DIST (target/dist)
	@scripts/dist.sh "$(or $(WEIR),$(release)/weir)" "$(OUT_DIST)"

.PHONY: wheels
wheels: $(if $(WEIR),setup,build) ## The same as Python wheels: the command and its pack
	@scripts/setup-wheels.sh
	@scripts/wheels.py "$(or $(WEIR),$(release)/weir)" "$(OUT_DIST)"

.PHONY: dist-test
dist-test: dist wheels ## Install both as another user without a network; measure the time to the first redaction
	@tests/setup-install.sh
	@tests/try-install.sh archive "$(OUT_DIST)"/weir-*.tar.gz
	@tests/try-install.sh wheels "$(OUT_DIST)" .weir/wheelhouse

# Optimised only where the demo is hot, and without what it does not use: a third of the work of a release.
.PHONY: demo
demo: setup ## Build weir quickly, run it over the examples and show what it does
	cargo build --profile demo --no-default-features --features tables --locked
	@WEIR="$(target)/demo/weir" examples/demo.sh

.PHONY: demo-kafka
demo-kafka: build ## The same on Kafka: a local broker, a stream, a worker that is killed half-way
	@tests/setup-kafka.sh
	@WEIR="$(release)/weir" examples/demo-kafka.sh

.PHONY: lint
lint: ## Format and lints, warnings denied
	cargo fmt --check
	cargo clippy --all-targets --locked --features planted-faults -- -D warnings

# None, one or two of them, and all but one: what two parts of weir need of each other shows there.
parts := kafka clouds tables server prompted otlp kms
combinations := none $(parts) $(foreach a,$(parts),$(foreach b,$(parts),$(if $(filter $(a),$(firstword $(sort $(a) $(b)))),\
	$(if $(filter-out $(a),$(b)),$(a)$(comma)$(b))))) $(foreach a,$(parts),$(subst $(space),$(comma),$(filter-out $(a),$(parts))))
.PHONY: features
features: ## Lint weir with few and with most of its cargo features, or with FEATURES="none tables,server"
	@for set in $(or $(FEATURES),$(combinations)); do \
		echo "features: $$set"; \
		cargo clippy --quiet --locked --no-default-features --features "$${set/#none/}" -- -D warnings || exit 1; \
	done

# With bugs on purpose, which some tests have to find. All test targets build with it, so that nothing is built twice.
cargo_test := cargo test --locked --features planted-faults
.PHONY: test
test: setup-tests ## Install what the tests need and run all of them
	$(cargo_test)
	.weir/python/bin/python -m pytest -q tools/tests
	.weir/python/bin/python -m pytest -q tests/chart

# Tests that start servers or Python, or that take more than ten seconds.
slow := kafka status:: stores registry prompted:: chaos kill large tokenizers docs:: install:: odd_texts a_whole_text_through_redact \
	one_text_of_any_length sigterm_drains otlp:: a_line_of_20_mb a_text_in_parts asking:: no_failure_tells_a_value promtool \
	no_panel_is_without_data a_collector_shows
.PHONY: test-fast
test-fast: setup ## Unit tests and tests without servers or Python, in two minutes after a build
	$(cargo_test) --lib
	$(cargo_test) --test it -- $(addprefix --skip ,$(slow))

# What the tests of the chart in `make test` check, again with Helm 3; and what takes Go programs to check.
chart := deploy/helm/weir
chart_tools := .weir/chart-tools
# Tags of releases do not move, so a node need not ask for them again.
kube_score := --ignore-test container-image-pull-policy
.PHONY: chart
chart: ## Test the Helm chart with Helm 3 and 4, helm-unittest and kube-score (after `cargo build`)
	@scripts/setup-python.sh
	@tests/setup-chart.sh --all
	$(chart_tools)/helm-unittest --color $(chart)
	@set -o pipefail; for values in $(chart)/examples/*.yaml; do \
		.weir/chart/bin/helm template weir $(chart) --values "$$values" \
			| $(chart_tools)/kube-score score - $(kube_score) || { echo "kube-score: $$values"; exit 1; }; \
	done
	HELM=$(CURDIR)/$(chart_tools)/helm3 .weir/python/bin/python -m pytest -q tests/chart
	.weir/python/bin/python -m pytest -q tests/chart

.PHONY: image
image: ## Build the image with docker, as IMAGE (default weir)
	docker build -f deploy/Dockerfile --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) -t "$(or $(IMAGE),weir)" .

.PHONY: image-test
image-test: ## As root: build the image without an engine around WEIR (default: the debug build), and test what is in it
	@scripts/setup-python.sh
	@tests/setup-image.sh
	.weir/python/bin/python -m pytest -q -rP tests/image

.PHONY: licences
licences: ## Check licences and sources of all crates
	@tests/setup-deny.sh
	.weir/deny/bin/cargo-deny --locked check bans licenses sources

.PHONY: sbom
sbom: ## Write the list of all crates with their licences (CycloneDX) to .weir/sbom
	@scripts/sbom.sh .weir/sbom

.PHONY: chaos
chaos: setup ## CHAOS_FAULTS faults (default 200) each on workers, networks and one broker, then three; reports in .weir/
	@tests/setup-kafka.sh
	WEIR_CHAOS_FAULTS=$${CHAOS_FAULTS:-200} WEIR_CHAOS_REPORT=$(CURDIR)/.weir/chaos.json \
		WEIR_CHAOS_CLUSTER_REPORT=$(CURDIR)/.weir/chaos-cluster.json \
		$(cargo_test) --test it faults_of_every_kind -- --nocapture

.PHONY: soak
soak: setup ## A stream for SOAK_SECONDS (default 600): a burst, a slow sink, brokers away; report in .weir/soak.json
	@tests/setup-kafka.sh
	WEIR_SOAK_SECONDS=$${SOAK_SECONDS:-600} WEIR_SOAK_REPORT=$(CURDIR)/.weir/soak.json \
		$(cargo_test) --test it soak:: -- --ignored --nocapture

.PHONY: outage
outage: setup ## Ten minutes of a stream (OUTAGE_SECONDS) whose collector never answers: memory and the end of the worker
	@tests/setup-kafka.sh
	WEIR_OUTAGE_SECONDS=$${OUTAGE_SECONDS:-600} $(cargo_test) --test it ten_minutes_without -- --ignored --nocapture

.PHONY: test-large
test-large: setup ## One text of 200 MB through patterns and a model, in bounded memory
	WEIR_TEST_LARGE=1 cargo test --release --locked --test it one_text_of_any_length -- --nocapture

.PHONY: test-collector
test-collector: setup-tests ## Build a real OpenTelemetry Collector and compare what it shows with /metrics (minutes)
	@tests/setup-collector.sh
	WEIR_TEST_COLLECTOR=1 $(cargo_test) --test it a_collector_shows -- --nocapture

.PHONY: bench
bench: build ## Measure weir against the bare model on this machine
	$(release)/weir bench

.PHONY: bench-kafka
bench-kafka: setup-tests ## Measure the streaming worker on a real broker (about ten minutes)
	cargo bench --locked --bench stream

# Checkpoint, pack and its copies: 30 GB below .weir/large, which is kept for the next time.
.PHONY: bench-large
bench-large: build setup-tests ## Measure a full-size large model of random weights against PyTorch (an hour, 30 GB)
	cd tools && test -d ../.weir/large/random || ../.weir/python/bin/python -m weir_tools.random_large \
		../.weir/large/random ../.weir/tokenizers/o200k/tokenizer.json
	cd tools && test -d ../.weir/large/pack || ../.weir/python/bin/python -m weir_tools.large \
		../.weir/large/random ../.weir/large/pack --experts fp32 8 4
	$(release)/weir model tune .weir/large/pack
	cd tools && ../.weir/python/bin/python -m weir_tools.bench_large ../.weir/large/random ../.weir/large/pack \
		--weir $(release)/weir --out ../.weir/large/bench.json
	cd tools && ../.weir/python/bin/python -m weir_tools.profile_large ../.weir/large/pack
	cd tools && ../.weir/python/bin/python -m weir_tools.halo ../.weir/large/pack

# The machine needs PyTorch, onnx, tokenizers and safetensors, and no network: tools/README.md tells what TEXTS is.
.PHONY: train-gpu
train-gpu: ## Train weir-mini on a GPU for SECONDS (default 480) with the packed TEXTS; trained.safetensors and log in OUT
	cd tools && python3 -m weir_tools.train ../models/weir-mini $(abspath $(or $(OUT),out/gpu)) --packed $(abspath $(TEXTS)) \
		--start ../models/weir-mini --device cuda --batches 1 --tokens 12000 --most-labels 500 \
		--seconds $(or $(SECONDS),480) --dev-every 1000000 --save-every 1000000

.PHONY: fuzz
fuzz: ## Fuzz every parser of outside bytes for FUZZ_SECONDS each (default 60)
	FUZZ_SECONDS=$${FUZZ_SECONDS:-60} cargo test --release --test it fuzz -- --nocapture

.PHONY: sanitize
sanitize: ## Run the tests of unsafe code under AddressSanitizer (x86-64 Linux)
	@# The sanitizer ships with the stable compiler; only its switch is unstable.
	RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --locked --target x86_64-unknown-linux-gnu \
		--manifest-path tests/sanitized/Cargo.toml

.PHONY: miri
miri: ## The same under Miri (needs the nightly toolchain with miri)
	cargo +nightly miri test --manifest-path tests/sanitized/Cargo.toml

.PHONY: ci
ci: lint sanitize test ## What CI runs
