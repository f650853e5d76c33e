# The commands of this repository. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# Which interpreter. Another one gets virtual environments of its own:
#   make test PYTHON=python3.12
PYTHON ?= python3
VENV ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
VENV_INTEGRATIONS ?= $(patsubst .venv%,.venv-integrations%,$(VENV))

# The interpreter itself, not a version manager's stand-in for it: pyo3 builds for this one, and
# rebuilds whenever the name that it was given changes.
INTERPRETER := $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null)
TAG := $(shell $(PYTHON) -c 'import sys; print(sys.implementation.cache_tag + sys.abiflags)' 2>/dev/null)
# A debug interpreter is for checks, not for speed.
PROFILE := $(if $(filter %d,$(TAG)),fast,release)
export PYO3_PYTHON := $(INTERPRETER)

BUILD := .build/$(TAG)
REPORTS := .build/reports
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)
SOURCES := pyproject.toml $(RUST_SOURCES) \
	$(shell find python -name '*.py' -o -name '*.pyi' -o -name py.typed)

PIP_INSTALL = -m pip install --quiet --disable-pip-version-check

.PHONY: help
help: ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 28

.PHONY: demo
demo: $(VENV)/.wheel $(VENV)/.group-demo ## Build, install and show the main job on 100 MB of data.
	@$(VENV)/bin/python examples/demo.py

.PHONY: demo-endpoints
demo-endpoints: $(VENV)/.commands $(VENV)/.group-demo ## Two endpoints and a relay on this machine: an object put at one and used at the other.
	@$(VENV)/bin/python examples/endpoints.py

.PHONY: develop
develop: $(VENV)/.group-test $(VENV)/.group-lint ## Install a quick build for editing: Python sources in place.
	@rm -f $(VENV)/.wheel
	@VIRTUAL_ENV=$(abspath $(VENV)) $(BUILD)/maturin/bin/maturin develop --profile fast

.PHONY: test
test: reports lint test-rust test-python ## Lint, Rust tests, Python tests, examples, README and docstrings.
	@$(VENV)/bin/python scripts/count_tests.py $(REPORTS)/rust.log $(REPORTS)/python-$(TAG).xml

.PHONY: test-rust
test-rust: machine reports redis $(VENV)/.group-test
	@echo '==> Rust tests'
	@PROXYSTORE_TEST_PYTHON=$(abspath $(VENV))/bin/python cargo test --workspace --all-features --no-fail-fast 2>&1 | tee $(REPORTS)/rust.log

.PHONY: test-python
test-python: $(VENV)/.commands $(VENV)/.group-test reports redis nats chromium hosts
	@echo "==> Python tests ($(TAG))"
	@$(VENV)/bin/python -m pytest -m 'not integration' --junitxml=$(REPORTS)/python-$(TAG).xml

.PHONY: test-integrations
test-integrations: $(VENV_INTEGRATIONS)/.wheel $(VENV_INTEGRATIONS)/.group-integrations reports redis azurite ## Tests with larger packages: torch (3 GB), Parsl, Dask, Ray, Globus Compute, Colmena, Academy.
	@echo "==> integrations ($(TAG))"
	@$(VENV_INTEGRATIONS)/bin/python -m pytest -m integration --junitxml=$(REPORTS)/integrations-$(TAG).xml
	@$(VENV_INTEGRATIONS)/bin/python scripts/count_tests.py $(REPORTS)/integrations-$(TAG).xml

.PHONY: test-all
test-all: reports ## The Python tests on every interpreter of 3.10 to 3.13 that is here.
	@rm -f $(REPORTS)/python-*.xml
	@scripts/interpreters.sh | while read -r python; do $(MAKE) --no-print-directory test-python PYTHON="$$python" </dev/null || true; done
	@$(PYTHON) scripts/count_tests.py $$(scripts/interpreters.sh | sed -E 's|.*python3\.([0-9]+)$$|$(REPORTS)/python-cpython-3\1.xml|')

.PHONY: test-debug
test-debug: reports ## The proxy type, and what counts references, under a debug build of Python, which it installs.
	@python=$${DEBUG_PYTHON:-$$(scripts/debug_interpreter.sh)}; $(MAKE) --no-print-directory test-debug-python PYTHON="$$python"

.PHONY: test-debug-python
test-debug-python: $(VENV)/.wheel $(VENV)/.group-debug redis reports
	@echo "==> proxies and references ($(TAG))"
	@$(VENV)/bin/python -m pytest tests/proxy tests/store/test_ownership.py tests/store/test_borrows.py tests/codec/test_memory.py tests/codec/test_trees.py -m 'not integration' --junitxml=$(REPORTS)/debug-$(TAG).xml
	@$(PYTHON) scripts/count_tests.py $(REPORTS)/debug-$(TAG).xml

.PHONY: lint
lint: lint-rust lint-python lint-laws ## Formatting, lints, types, documentation, and the laws of the tree.

.PHONY: lint-rust
lint-rust: machine
	@echo '==> lint: Rust'
	@cargo fmt --all --check
	@cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
	@$(PYTHON) scripts/check_features.py
	@RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --workspace --all-features --no-deps

.PHONY: lint-python
lint-python: $(VENV)/.wheel $(VENV)/.group-test $(VENV)/.group-lint
	@echo '==> lint: Python'
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/ruff format --quiet --check .
	@$(VENV)/bin/mypy --strict python/proxystore examples
	@$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	@MYPYPATH=python $(VENV)/bin/python -m mypy.stubtest --concise --ignore-disjoint-bases --allowlist scripts/stubtest_allowlist.txt proxystore._core

.PHONY: lint-laws
lint-laws: machine
	@echo '==> lint: laws of the tree'
	@$(PYTHON) scripts/check_import_law.py
	@$(PYTHON) scripts/check_tree.py

.PHONY: wheels
wheels: machine ## Build and try what a release is made of: wheels, sdist, crates (into dist/).
	@PYTHON="$(PYTHON)" ONLY="$(ONLY)" scripts/wheels.sh

.PHONY: bench
bench: bench-proxy bench-rust bench-future bench-endpoint bench-store ## Benchmarks beside the peers, into benches/RESULTS.md; wants a quiet machine.

.PHONY: bench-proxy
bench-proxy: $(VENV)/.wheel $(VENV)/.group-bench
	@$(VENV)/bin/python benches/proxy/compare.py --out .build/proxy-$(TAG).md || true
	@$(VENV)/bin/python benches/store/results.py benches/RESULTS.md 'Proxy type, $(TAG)' .build/proxy-$(TAG).md

.PHONY: bench-store
bench-store: $(VENV)/.wheel $(VENV)/.group-bench redis
	@$(VENV)/bin/python benches/store/compare.py --write benches/RESULTS.md

.PHONY: bench-rust
bench-rust: machine reports
	@cargo bench --quiet -p proxystore --bench store
	@$(PYTHON) benches/rust/table.py > .build/rust.md
	@$(PYTHON) benches/store/results.py benches/RESULTS.md 'Rust, without an interpreter' .build/rust.md

.PHONY: bench-endpoint
bench-endpoint: $(VENV)/.commands $(VENV)/.group-bench ## Endpoints beside those of 1.1 and plain TCP, into benches/RESULTS.md; wants a quiet machine.
	@$(VENV)/bin/python benches/endpoint/compare.py --out .build/endpoints.md
	@$(VENV)/bin/python benches/store/results.py benches/RESULTS.md 'Endpoints' .build/endpoints.md

.PHONY: bench-future
bench-future: $(VENV)/.wheel $(VENV)/.group-bench redis
	@$(VENV)/bin/python benches/future/latency.py --write benches/RESULTS.md

.PHONY: bench-stream
bench-stream: $(VENV)/.wheel $(VENV)/.group-bench redis
	@$(VENV)/bin/python benches/stream/compare.py --write benches/RESULTS.md

.PHONY: bench-frameworks
bench-frameworks: $(VENV_INTEGRATIONS)/.wheel $(VENV_INTEGRATIONS)/.group-integrations ## Each framework with its data as it is and by proxy, into benches/RESULTS.md; wants a quiet machine.
	@$(VENV_INTEGRATIONS)/bin/python benches/frameworks/compare.py --write benches/RESULTS.md

.PHONY: bench-sealed
bench-sealed: $(VENV)/.wheel $(VENV)/.group-bench ## Stores that compress, sign or encrypt, into benches/RESULTS.md; wants a quiet machine.
	@$(VENV)/bin/python benches/store/sealed.py --write benches/RESULTS.md

MINUTES ?= 10

.PHONY: soak
soak: $(VENV)/.wheel $(VENV)/.group-bench ## Eight processes put, pass, use and evict for ten minutes (MINUTES=1): nothing may grow.
	@$(VENV)/bin/python benches/soak/run.py --minutes $(MINUTES) --write benches/RESULTS.md

.PHONY: clean
clean: ## Remove everything that was built or installed here.
	@rm -rf target .build dist .venv .venv-* .mypy_cache .ruff_cache .pytest_cache
	@find python tests examples scripts benches -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	@find python -name '*.so' -delete

.PHONY: machine
machine:
	@scripts/check_machine.sh "$(PYTHON)"

.PHONY: redis
redis:
	@scripts/install_redis.sh

.PHONY: nats
nats:
	@scripts/install_nats.sh

.PHONY: azurite
azurite:
	@scripts/install_azurite.sh

.PHONY: chromium
chromium:
	@scripts/install_chromium.sh

.PHONY: hosts
hosts:
	@scripts/install_hosts.sh

.PHONY: reports
reports:
	@mkdir -p $(REPORTS)

# What follows is done once, and again when what it is made of has changed.

%/.created: | machine
	@echo "==> virtual environment $*"
	@$(PYTHON) -m venv $* || { echo 'cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$*/bin/python $(PIP_INSTALL) --upgrade 'pip>=25.1'
	@touch $@

$(BUILD)/maturin/.group-build: $(BUILD)/maturin/.created
	@$(BUILD)/maturin/bin/python $(PIP_INSTALL) 'maturin>=1.9,<2'
	@touch $@

$(BUILD)/wheel/.built: $(SOURCES) $(BUILD)/maturin/.group-build
	@echo '==> $(PROFILE) build (once; minutes)'
	@rm -rf $(BUILD)/wheel
	@$(BUILD)/maturin/bin/maturin build --quiet --profile $(PROFILE) --locked --compatibility linux --interpreter $(INTERPRETER) --out $(BUILD)/wheel
	@touch $@

%/.wheel: %/.created $(BUILD)/wheel/.built
	@$*/bin/python $(PIP_INSTALL) $(BUILD)/wheel/*.whl
	@$*/bin/python $(PIP_INSTALL) --force-reinstall --no-deps $(BUILD)/wheel/*.whl
	@touch $@

# One program answers to all names of the package's commands. It brings a network stack, which takes
# minutes to build, so that only what needs it waits for it: the demo's wheel goes without.
$(BUILD)/commands/.built: $(RUST_SOURCES)
	@echo '==> quick build of the commands (once; minutes); the wheels have one that is linked as a whole'
	@cargo build --quiet --profile fast --locked -p proxystore-cli
	@install -D -m 755 target/fast/proxystore $(@D)/proxystore
	@touch $@

%/.commands: %/.wheel $(BUILD)/commands/.built
	@install -D -m 755 $(BUILD)/commands/proxystore "$$($*/bin/python -c 'import proxystore as p; print(p.__path__[0])')/_bin/proxystore"
	@touch $@

.PRECIOUS: %/.created %/.wheel %/.commands
define GROUP
%/.group-$(1): pyproject.toml %/.created
	@echo '==> packages of group $(1)'
	@$$*/bin/python $(PIP_INSTALL) --group $(1)
	@touch $$@
.PRECIOUS: %/.group-$(1)
endef
$(foreach group,demo test debug lint integrations bench,$(eval $(call GROUP,$(group))))
