.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Where uv is installed it makes the environment in a tenth of the time.
UV := $(shell command -v uv 2>/dev/null)

PEERS := curator litellm data_designer

.PHONY: help env demo test quick lint acceptance bench-limits bench-admissions bench-peers clean

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
	$(BIN)/python -m pytest

quick: lint ## lint, types and the unit tests
	$(BIN)/python -m pytest tests/unit

acceptance: env ## whole fleets, killed and counted
	$(BIN)/python -m pytest tests/acceptance

lint: env ## formatting, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --package benchmarks

bench-limits: env ## ours beside others: is the limit used, is it kept (ARGS="--quick")
	@$(BIN)/python -m benchmarks.limits $(ARGS)

bench-admissions: env ## what admission costs the broker
	@$(BIN)/python -m benchmarks.admissions

bench-peers: ## the others, each in an environment of its own; about 2 GB
	@for peer in $(PEERS); do \
		echo "$$peer" && $(PYTHON) -m venv .venv-peers/$$peer && \
		.venv-peers/$$peer/bin/python -m pip install --quiet --only-binary :all: -r benchmarks/peers/$$peer.txt || \
		{ echo "$$peer could not be installed; the benchmark says so and goes on without it" >&2; rm -rf .venv-peers/$$peer; }; \
	done

clean: ## remove the environment and caches (data/ stays)
	rm -rf .venv .venv-peers .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build
