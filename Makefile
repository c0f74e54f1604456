PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo dev celery test lint check bench bench-1m bench-guard campaign lock clean

help: ## Say what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 20

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

celery: setup ## Redis, two workers and the daemon: sync, compare and report the sample over them; KILL=1 kills one midway
	@$(BIN)/python -m ingestion_pipeline.defs.over_celery.trial $(if $(KILL),--kill)

test: setup ## Run all tests
	$(BIN)/python -m pytest

lint: setup ## Format, lint, types, arrows, definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate

check: lint test ## All of lint, and all tests

.venv/bench: .venv/installed benchmarks/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r benchmarks/requirements.lock
	@touch $@

bench: .venv/bench ## Measure every job beside its floor and its peers: some 20 minutes, on a machine that does nothing else
	@$(BIN)/python -m benchmarks.gates --keep && $(BIN)/python -m benchmarks.steps --keep
	@$(BIN)/python -m benchmarks --keep bench; code=$$?; $(BIN)/python -m benchmarks.asking && exit $$code

bench-1m: .venv/bench ## The same up to a million rows, beside the floor only: an hour or more, and 30 GB of disk
	$(BIN)/python -m benchmarks --million --keep bench-1m

bench-guard: setup ## Measure shortly, and say which ratio got worse than the one that is kept
	$(BIN)/python -m benchmarks.guard

campaign: setup ## Put the promises to their full test: hours; parts of it as root only
	$(BIN)/python -m benchmarks.campaign

lock: setup ## Resolve the dependencies afresh into requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--extra embedded --extra celery --extra dev pyproject.toml --output-file requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' | \
		$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--constraint requirements.lock --output-file benchmarks/requirements.lock -

clean: ## Remove the environment (never data)
	rm -rf .venv
