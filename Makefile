# Every target makes the environments that it needs and leaves those alone that are up to date.
# A short description after `##` is what `make help` shows.

PYTHON ?= python3
# Further interpreters for `make test-versions`; those that are not installed are passed over.
VERSIONS ?= python3.12 python3.13 python3.14
# Which tests they run; all by default. With STRICT=1 their builds are those of `make test-strict`.
TESTS ?=
STRICT ?=
# More arguments for pytest: make test-python ARGS="-k retries -x"
ARGS ?=
# How many times over the soak tests do their work in `make soak`; in `make test` they do it once.
SOAK_SCALE ?= 20
# How many times sixteen moments `make soak-durability` kills runs.
KILL_SCALE ?= 63
# How many samples of each case a benchmark takes, and where the results go.
ROUNDS ?= 7
RESULTS ?= benches/results
LOCKED ?= --locked

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

# Set in one place, so that cargo sees one environment whoever calls it and builds each crate once.
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python

# A build that only has to be right, not fast: less optimising in the last step, and no debugger's tables.
PLAIN_BUILD = CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0

FIND_PYTHON = python=$$(sh scripts/find_python.sh '$(PYTHON)')
VENV = $(FIND_PYTHON) && "$$python" scripts/make_venv.py
BENCH_PYTHON = env -u PYTHONPATH .venv-bench/bin/python
PEERS_PYTHON = env -u PYTHONPATH .venv-peers/bin/python

.PHONY: help
help: ## list the targets
	@echo 'make TARGET [PYTHON=python3.12]'
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

# ---------------------------------------------------------------- environments

.PHONY: rust tools lint-tools wheel test-env
rust:
	@sh scripts/need_rust.sh

tools: rust
	@$(VENV) .venv --requirements requirements/build.txt --requirements requirements/lint.txt

wheel: tools ## build the wheel of this interpreter into dist/
	@$(FIND_PYTHON) && "$$python" scripts/build_wheel.py --maturin .venv/bin/maturin --out dist
	@ls -1 dist/*.whl

test-env: wheel
	@$(VENV) .venv-test --requirements requirements/test.txt --wheels dist
	@sh scripts/install_services.sh target/services || echo 'the tests that need these servers are skipped'

# ---------------------------------------------------------------- what people type

.PHONY: demo examples docs
demo: wheel ## run the ETL of the New York flights and show what it found
	@$(VENV) .venv-demo --requirements requirements/demo.txt --wheels dist
	@.venv-demo/bin/execution-dataflow demo

examples: wheel ## run every script in examples/
	@$(VENV) .venv-examples --requirements requirements/examples.txt --wheels dist
	@sh scripts/run_examples.sh .venv-examples

docs: wheel ## build the documentation of both languages
	@$(VENV) .venv-docs --requirements requirements/docs.txt --wheels dist
	.venv-docs/bin/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build/html
	RUSTDOCFLAGS='-D warnings' cargo doc $(LOCKED) --quiet --no-deps --document-private-items -p dataflow-core
	@echo 'docs/_build/html/index.html'
	@echo 'target/doc/dataflow_core/index.html'

# ---------------------------------------------------------------- benchmarks

.PHONY: bench-env peers-env bench bench-peers bench-metg bench-elsewhere bench-native bench-instructions bench-docs
bench-env: wheel
	@$(VENV) .venv-bench --requirements requirements/bench.txt --wheels dist

peers-env: wheel
	@$(VENV) .venv-peers --requirements requirements/bench-peers.txt --wheels dist

bench: bench-env bench-elsewhere ## measure operations beside the hand-written loop, work in processes beside other libraries, and the core with criterion
	$(BENCH_PYTHON) benches/compare.py --engines ours --rounds $(ROUNDS) --out $(RESULTS)/ours.json
	$(BENCH_PYTHON) benches/ratios.py --million
	$(BENCH_PYTHON) benches/latency.py
	$(BENCH_PYTHON) benches/building.py --million
	$(BENCH_PYTHON) benches/processes.py --rounds $(ROUNDS)
	$(BENCH_PYTHON) benches/coroutines.py --rounds $(ROUNDS)
	$(BENCH_PYTHON) benches/shared_memory.py --rounds $(ROUNDS)
	sh scripts/run_pytest.sh .venv-bench benches --timeout=0 -o faulthandler_timeout=0 -o pythonpath=benches $(ARGS)
	cargo bench $(LOCKED) -p dataflow-core

bench-peers: peers-env ## measure all other libraries too, in an environment of their own (ROUNDS=... RESULTS=...)
	$(PEERS_PYTHON) benches/compare.py --engines all --rounds $(ROUNDS) --out $(RESULTS)/peers.json

bench-metg: peers-env ## measure how small tasks may be on two cores: METG(50%)
	$(PEERS_PYTHON) benches/metg.py --rounds $(ROUNDS) --out $(RESULTS)/metg.json

bench-elsewhere: peers-env ## measure worker processes, arrays between them, and coroutines, beside loky, concurrent.futures, Ray and Dask
	$(PEERS_PYTHON) benches/elsewhere.py --rounds $(ROUNDS) --out $(RESULTS)/elsewhere.json

bench-native: bench-env ## measure the floor in C, and the Rust core beside C++ Taskflow
	cargo build $(LOCKED) --release --quiet -p dataflow-bench
	headers=$$(sh scripts/fetch_cpp_taskflow.sh target/cpp-taskflow) || headers=; \
	    .venv-bench/bin/python benches/native/build.py --out target/bench-native $${headers:+--taskflow "$$headers"}
	BENCH_NATIVE=target/bench-native $(BENCH_PYTHON) benches/compare.py --engines native --suites shapes \
	    --rounds $(ROUNDS) --out $(RESULTS)/native-loop.json
	$(BENCH_PYTHON) benches/native_cores.py --rust target/release/dataflow-bench --cpp target/bench-native/taskflow \
	    --rounds $(ROUNDS) --out $(RESULTS)/native-core.json

bench-instructions: rust ## fail if the core needs 5 % more instructions than its baseline (UPDATE=1 rewrites it)
	@cargo build $(LOCKED) --release --quiet -p dataflow-bench
	@sh scripts/count_instructions.sh target/release/dataflow-bench $(if $(UPDATE),--update)

bench-docs: bench-env ## write docs/benchmarks.md and its plots from the results
	$(BENCH_PYTHON) benches/report.py --results $(RESULTS)

# ---------------------------------------------------------------- tests

.PHONY: test test-rust loom test-python doctest test-strict test-versions test-azure soak soak-durability
test: test-rust loom test-python doctest ## test everything: the core, its loom models, and the wheel in a clean environment

test-rust: rust ## test the Rust core
	cargo test $(LOCKED) -p dataflow-core

loom: rust ## check the concurrent protocols of the core in all their interleavings
	$(PLAIN_BUILD) CARGO_TARGET_DIR=target/loom RUSTFLAGS='--cfg loom -D warnings' cargo test $(LOCKED) -p dataflow-core --release --test 'loom_*'

test-python: test-env ## test the wheel, installed into a clean environment
	@$(FIND_PYTHON) && "$$python" scripts/run_suite.py .venv-test $(ARGS)

doctest: test-env ## run the examples in the docstrings of the installed package
	sh scripts/run_pytest.sh .venv-test --doctest-modules --pyargs execution_dataflow $(ARGS)

test-strict: tools ## test a build that aborts when a Python object is dropped while detached
	@$(FIND_PYTHON) && $(PLAIN_BUILD) CARGO_TARGET_DIR=target/strict RUSTFLAGS='--cfg pyo3_disable_reference_pool' \
	    "$$python" scripts/build_wheel.py --maturin .venv/bin/maturin --out target/strict/dist
	@$(VENV) .venv-strict --requirements requirements/test.txt --wheels target/strict/dist
	sh scripts/run_pytest.sh .venv-strict tests/contract tests/integration/test_interrupt.py \
	    tests/integration/test_fork.py tests/integration/test_process_end.py $(ARGS)

test-versions: tools ## test on the other Pythons that are installed (VERSIONS=...)
	@$(PLAIN_BUILD) TESTS='$(TESTS)' STRICT='$(STRICT)' sh scripts/test_versions.sh .venv/bin/maturin $(VERSIONS)

test-azure: test-env ## test artifacts in Azure Blob Storage, with the emulator that npm fetches
	@sh scripts/install_azurite.sh target/services
	sh scripts/run_pytest.sh .venv-test tests/stores/test_azure_artifacts.py $(ARGS)

soak: test-env ## repeat the tests that look for leaks and rare races many times (SOAK_SCALE=...)
	SOAK_SCALE=$(SOAK_SCALE) sh scripts/run_pytest.sh .venv-test tests -m soak --timeout=0 -o faulthandler_timeout=0 $(ARGS)

soak-durability: test-env ## kill runs at a thousand random moments and resume them (KILL_SCALE=...)
	SOAK_SCALE=$(KILL_SCALE) sh scripts/run_pytest.sh .venv-test tests/durability -m soak --timeout=0 -o faulthandler_timeout=0 -rP $(ARGS)

# ---------------------------------------------------------------- care of the code

.PHONY: lint format develop quick lock clean
lint: test-env ## formatting, clippy, ruff, mypy, and the stub against the compiled module
	@sh scripts/need_rust.sh cargo-fmt cargo-clippy
	cargo fmt --all --check
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv-test/bin/python -P -m mypy.stubtest execution_dataflow._core

format: tools ## format the code of both languages
	cargo fmt --all
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .

develop: tools ## install the work tree into .venv-dev, where edits of Python need no new build
	@$(VENV) .venv-dev --requirements requirements/test.txt
	CARGO_TARGET_DIR=target/dev VIRTUAL_ENV=$(CURDIR)/.venv-dev .venv/bin/maturin develop --release $(LOCKED)

quick: develop ## test the work tree without making a wheel
	EXECUTION_DATAFLOW_IN_TREE=1 .venv-dev/bin/pytest $(ARGS)

lock: ## pin anew what pyproject.toml asks for, in requirements/ and Cargo.lock
	@$(VENV) .venv-lock --requirements requirements/lock.txt
	@sh scripts/lock.sh .venv-lock/bin/uv
	cargo update

clean: ## remove everything that was built
	rm -rf target dist docs/_build .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find python scripts tests benches docs -name __pycache__ -prune -exec rm -rf {} +
	find python -name '*.so' -delete
