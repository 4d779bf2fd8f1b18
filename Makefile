# Every target is one line of real work. `make setup` is done by the others when needed.
# PYTHON chooses the interpreter of the virtual environment, if there is none yet or after
# `make clean`: make setup PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
SOURCES := packages tests benchmarks examples conftest.py
# Tests mostly wait for other processes: more workers than cores. WORKERS=0 for a debugger.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup fmt-check demo run test e2e browser e2e-docker chaos conformance check fmt lint type unit bench clean up down

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/ready: requirements-dev.txt $(wildcard packages/*/pyproject.toml)
	@echo "Installing everything into .venv; this takes a minute or two ..."
	@$(PYTHON) -m venv --clear .venv && $(BIN)/pip install -q --disable-pip-version-check --no-deps -r requirements-dev.txt && $(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e packages/shared-schema -e packages/sdk -e packages/ingest && touch $@

setup: .venv/ready ## Create the virtual environment

demo: setup ## Start everything, send events, show them in ClickHouse, keep running
	@$(BIN)/python -m examples.demo $(DEMO_ARGS)

run: setup ## Run the service on an embedded ClickHouse
	@$(BIN)/headwater-ingest serve

test: setup ## All tests: units, properties, end to end
	$(BIN)/python -m pytest -n $(WORKERS) $(TEST_ARGS)

unit: setup ## Tests of the packages only
	$(BIN)/python -m pytest -n $(WORKERS) packages $(TEST_ARGS)

e2e: setup ## The contract test: the real SDK, the live service, a real ClickHouse
	$(BIN)/python -m pytest -n $(WORKERS) tests/e2e $(TEST_ARGS)

e2e-docker: setup ## The tests of e2e against the ClickHouse of docker-compose.yml
	tests/e2e/with_docker.sh $(BIN)/python -m pytest tests/e2e $(TEST_ARGS)

browser: setup ## The tracker in Chromium; installs both if they are missing
	tests/e2e/tracker/install.sh && $(BIN)/python -m pytest tests/e2e/test_tracker.py $(TEST_ARGS)

chaos: setup ## Kill and harm everything, compare the books: CHAOS_ARGS="--seed 7 --only dies"
	@$(BIN)/python -m tests.chaos.run $(CHAOS_ARGS)

conformance: setup ## The conformance cases; CASES=FILE.json names others
	@$(BIN)/python -m tests.conformance.run $(CASES)

check: fmt-check lint type unit ## Format, lint, types, unit tests

fmt: setup ## Format the code
	$(BIN)/ruff format $(SOURCES) && $(BIN)/ruff check --select I --fix -q $(SOURCES)

fmt-check: setup
	$(BIN)/ruff format --check $(SOURCES)

lint: setup ## Lint, and check the arrows between the rooms
	$(BIN)/ruff check $(SOURCES) && $(BIN)/lint-imports

type: setup ## Check the types, strictly
	$(BIN)/mypy packages/shared-schema packages/sdk packages/ingest tests benchmarks examples

bench: setup ## Run the benchmarks; FULL=1 as long as for the tables in the docs
	@FULL=$(FULL) $(BIN)/python -m benchmarks.run $(BENCH_ARGS)

up: ## Start the service and ClickHouse with Docker
	docker compose up --build --detach --wait

down: ## Stop them; the data stays
	docker compose down

clean: ## Remove .venv, caches and what the demo left; the data in data/ stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* dist .headwater && find . -name __pycache__ -prune -exec rm -rf {} +
