# From a fresh clone, with only Python and make: `make run`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run demo test check bench torture dashboards format lock clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.done ## the service on 127.0.0.1:8080 with the embedded PostgreSQL
	@exec $(BIN)/loopgauge serve

demo: $(VENV)/run.done ## the same beside a simulated organisation: 26 weeks of history, then live; PORT=8080
	@exec $(BIN)/loopgauge demo $(if $(PORT),--port $(PORT))

test: $(VENV)/dev.done ## the whole test suite
	@$(BIN)/python -m pytest --numprocesses 3

check: $(VENV)/dev.done ## formatting, lint, types and import contracts
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/dev.done ## how long the core, the figures at a million experiments and the lists take, with ratios
	@$(BIN)/python -m tests.bench.core
	@$(BIN)/python -m tests.bench.figures
	@$(BIN)/python -m tests.bench.lists

SECONDS ?= 600
torture: $(VENV)/dev.done ## the long fault test; SECONDS=600, and SEED=n to repeat one
	@$(BIN)/python -m tests.faults.torture --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

dashboards: $(VENV)/dev.done ## write the Grafana dashboards from the Python that builds them
	@$(BIN)/python -W ignore::DeprecationWarning -m dashboards

format: $(VENV)/dev.done ## put the code into shape
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --upgrade

lock: $(VENV)/dev.done ## the newest versions that pyproject.toml allows
	$(COMPILE) --extra embedded --group build --output-file requirements.lock
	$(COMPILE) --extra embedded --group build --group dev --constraints requirements.lock --output-file requirements-dev.lock

clean: ## remove the environment and the tools' caches
	rm -rf $(VENV) .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/run.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		f"loopgauge needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	@echo "installing into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.done: requirements-dev.lock $(VENV)/run.done
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@
