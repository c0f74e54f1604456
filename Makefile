PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test lint check bench campaign lock clean

help: ## Say what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: .venv/installed ## Make .venv with pinned, hashed dependencies

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python cannot make environments: install its venv package (Debian: apt-get install python3-venv)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --quiet
	@touch $@

demo: setup ## Run the whole job on the sample and show the result
	@$(BIN)/python -m ingestion_pipeline.defs.demo

dev: setup ## Open the Dagster UI on 127.0.0.1:3000, with the daemon and what watches the site
	@$(BIN)/python -m ingestion_pipeline.defs.dev --host 127.0.0.1 --port 3000

test: setup ## Run all tests
	$(BIN)/python -m pytest

lint: setup ## Format, lint, types, arrows, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate

check: lint test ## All of lint, and all tests

bench: setup ## Measure what writes, saves, changes of phase, versions and answers cost
	$(BIN)/python -m benchmarks.writing
	$(BIN)/python -m benchmarks.saving
	$(BIN)/python -m benchmarks.switching
	$(BIN)/python -m benchmarks.publishing
	$(BIN)/python -m benchmarks.asking

campaign: setup ## Put the promises to their full test: hours; parts of it as root only
	$(BIN)/python -m benchmarks.campaign

lock: setup ## Resolve the dependencies afresh into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--extra embedded --extra dev pyproject.toml --output-file requirements.lock

clean: ## Remove the environment (never data)
	rm -rf .venv
