.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Where uv is installed it makes the environment in a tenth of the time.
UV := $(shell command -v uv 2>/dev/null)

# Tests that run at once, each on servers of its own. Most wait for processes, so they are more than the cores.
TESTS_AT_ONCE ?= 4
PARALLEL = --numprocesses $(TESTS_AT_ONCE) --dist loadgroup

# Scenarios of `make chaos` at once: each is a whole fleet, whose seconds are shown.
CHAOS_AT_ONCE ?= 4

PEERS := curator litellm data_designer

.PHONY: help env demo test quick lint acceptance chaos fuzz bench bench-limits bench-admissions bench-flower bench-peers clean

help: ## what there is
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: .venv/ready ## the project's own environment in .venv

.venv/ready: pyproject.toml
ifdef UV
	uv venv --quiet --allow-existing --python $(PYTHON) .venv
	uv pip install --quiet --python $(BIN)/python --editable . --group dev
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
endif
	@touch $@

demo: env ## a dataset in a minute: no key, no server, no cost
	@$(BIN)/genfleet demo

test: lint ## everything the project is judged by
	$(BIN)/python -m pytest $(PARALLEL)

quick: lint ## lint, types and the unit tests
	$(BIN)/python -m pytest $(PARALLEL) tests/unit

acceptance: env ## whole fleets, killed and counted
	$(BIN)/python -m pytest $(PARALLEL) tests/acceptance

chaos: env ## whole fleets under every fault, counted from three sources; ends with a table (ARGS="-k broker")
	$(BIN)/python -m pytest --numprocesses $(CHAOS_AT_ONCE) --dist loadgroup -m chaos tests/chaos $(ARGS)

lint: env ## formatting, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --package benchmarks

fuzz: env ## inputs of all kinds that nobody has thought of, so many for each target (N=5000)
	cd tests && ../$(BIN)/python -m fuzz $(N)

bench: env ## what genfleet itself costs: CPU an example, calls in flight, growth, enqueueing, starting, stopping, looking
	@$(BIN)/python -m benchmarks.load $(ARGS)
	@$(BIN)/python -m benchmarks.growth --sizes 1000 10000
	@$(BIN)/python -m benchmarks.enqueue
	@$(BIN)/python -m benchmarks.start_stop
	@$(BIN)/python -m benchmarks.views

bench-limits: env ## ours beside others: is the limit used, is it kept (ARGS="--quick")
	@$(BIN)/python -m benchmarks.limits $(ARGS)

bench-admissions: env ## what admission costs the broker
	@$(BIN)/python -m benchmarks.admissions

bench-flower: env ## Flower beside a job of a million examples: memory, answer times
	@$(BIN)/python -m benchmarks.flower $(ARGS)

bench-peers: ## the others, each in an environment of its own; about 2 GB
	@for peer in $(PEERS); do \
		echo "$$peer" && $(PYTHON) -m venv .venv-peers/$$peer && \
		.venv-peers/$$peer/bin/python -m pip install --quiet --only-binary :all: -r benchmarks/peers/$$peer.txt || \
		{ echo "$$peer could not be installed; the benchmark says so and goes on without it" >&2; rm -rf .venv-peers/$$peer; }; \
	done

clean: ## remove the environment and caches (data/ stays)
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build
