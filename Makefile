# `make run` and `make test` work in a fresh clone, and need only Python and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
CHART := helm/loopgauge
TOOLS := .tools
HELM := v4.3.1
KUBECONFORM := v0.8.0
HELM_DOCS := v1.14.2
PROMETHEUS_OPERATOR := v0.85.0
EXTERNAL_SECRETS := v1.3.2
PINNED := $(HELM)-$(KUBECONFORM)-$(HELM_DOCS)-$(PROMETHEUS_OPERATOR)-$(EXTERNAL_SECRETS)

.DEFAULT_GOAL := help
.PHONY: help run demo unit test lint check bench torture fuzz dashboards docs chart tools format lock clean
# Let Python cache bytecode, even if the environment forbids it: each of the hundreds of processes that the tests start
# would otherwise compile the same modules again.
export PYTHONDONTWRITEBYTECODE :=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run.done ## serve on 127.0.0.1:8080 with the embedded PostgreSQL; PORT=8081 chooses another port
	@exec $(BIN)/loopgauge serve $(if $(PORT),--port $(PORT))

demo: $(VENV)/run.done ## serve a simulated organisation with half a year of history; to run a second demo beside it, set PORT, DATA_DIR and PROMETHEUS_PORT
	@exec $(BIN)/loopgauge demo $(if $(PORT),--port $(PORT)) $(if $(DATA_DIR),--data-dir "$(DATA_DIR)") \
		$(if $(PROMETHEUS_PORT),--prometheus-port $(PROMETHEUS_PORT))

PYTEST := $(BIN)/python -m pytest
# Many tests wait for processes and for PostgreSQL, so run five at a time to keep two cores busy. Give each process one
# test at a time, because a long test would delay the tests behind it.
TESTS ?= tests

unit: $(VENV)/dev.done ## run the unit tests in seconds, without PostgreSQL, and with a fifth of Hypothesis's examples
	@$(PYTEST) --quiet --dist worksteal --numprocesses auto --maxprocesses 4 --hypothesis-profile quick tests/unit

test: $(VENV)/dev.done ## run all tests; TESTS=tests/integration runs a part, POSTGRESQL=/usr/lib/postgresql/16/bin uses the PostgreSQL programs of that directory, PGBOUNCER=transaction puts PgBouncer in between
	@$(PYTEST) --dist load --maxschedchunk 1 --numprocesses 5 $(if $(POSTGRESQL),--postgresql=$(POSTGRESQL)) $(if $(PGBOUNCER),--pgbouncer=$(PGBOUNCER)) $(TESTS)

lint: $(VENV)/dev.done ## check formatting, lint, types, import contracts and prose
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.support.prose

check: lint tools ## run make lint, then check the Dockerfile, compose.yaml, the workflows and the chart
	@$(BIN)/hadolint Dockerfile Dockerfile.demo
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(BIN)/zizmor --offline --quiet --no-progress .github
	@if [ -x $(TOOLS)/bin/helm ]; then $(BIN)/python -m tests.system.helm.check; fi

bench: $(VENV)/dev.done ## run the benchmarks, with wrk; ONLY="ingest replay" runs only these two, DELIVERIES=n sets how many deliveries `replay` processes, JSON=file sets the file for the results
	@$(BIN)/python -m tests.bench $(ONLY) $(if $(DELIVERIES),--deliveries $(DELIVERIES)) $(if $(JSON),--json $(JSON))

SECONDS ?= 600
torture: $(VENV)/dev.done ## run the long fault test; SECONDS=600 sets its length, SEED=n injects the faults of the run that printed this seed
	@$(BIN)/python -m tests.system.faults.long_run --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

fuzz: $(VENV)/dev.done ## run the long fuzz test; SECONDS=600 sets its length, SEED=n sends the requests of the run that printed this seed
	@$(BIN)/python -m tests.system.faults.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

dashboards: $(VENV)/dev.done ## generate the Grafana dashboards from Python
	@$(BIN)/python -W ignore::DeprecationWarning -m dashboards
	$(packaged)

docs: $(VENV)/dev.done ## write the generated parts of docs/, after a change to commands, endpoints or problems
	@$(BIN)/python -m tests.support.reference

chart: tools ## update the files and docs of the Helm chart after a change to dashboards, rules or values
	$(packaged)
	@$(TOOLS)/bin/helm-docs --log-level warning --sort-values-order file --chart-search-root helm

# Copy the dashboards and the rules into the chart, because a chart can read only the files in its own directory. Copies
# work where symbolic links do not: some GitOps tools drop the links.
define packaged
@rm -rf $(CHART)/files && mkdir -p $(CHART)/files/dashboards $(CHART)/files/rules
@cp dashboards/json/*.json $(CHART)/files/dashboards
@cp dashboards/rules/*.yaml $(CHART)/files/rules
endef

tools: ## install helm, kubeconform and helm-docs in .tools, with Go; takes minutes the first time
	@if command -v go >/dev/null; then \
		$(MAKE) --silent $(TOOLS)/$(PINNED).done; \
	elif [ -n "$$CI" ]; then \
		echo "Go is not installed: the Helm chart cannot be checked" >&2; exit 1; \
	else \
		echo "Go is not installed: the Helm chart is not checked"; \
	fi

format: $(VENV)/dev.done ## format the code, and fix lint
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix --quiet

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --upgrade

lock: $(VENV)/dev.done ## lock the newest versions that pyproject.toml allows
	$(COMPILE) pyproject.toml --extra embedded --group build --output-file requirements.lock
	$(COMPILE) pyproject.toml --constraints requirements.lock --output-file requirements-image.lock
	$(COMPILE) --group build --constraints requirements.lock --output-file requirements-build.lock
	$(COMPILE) pyproject.toml --extra embedded --group build --group dev --constraints requirements.lock \
		--output-file requirements-dev.lock

clean: ## remove .venv, and the caches of import-linter, mypy, pytest and ruff
	rm -rf $(VENV) .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

$(VENV)/run.done: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; on Debian and Ubuntu, run" \
		"apt install python3-venv, or try: make PYTHON=python3.12" >&2; exit 1; }
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

MODULE = $$(go mod download -json $(1) | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p')

$(TOOLS)/$(PINNED).done:
	@echo "making tools in $(TOOLS) ..."
	@rm -rf $(TOOLS) && mkdir -p $(TOOLS)/crds
	@GOBIN=$(CURDIR)/$(TOOLS)/bin go install helm.sh/helm/v4/cmd/helm@$(HELM)
	@GOBIN=$(CURDIR)/$(TOOLS)/bin go install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM)
	@GOBIN=$(CURDIR)/$(TOOLS)/bin go install github.com/norwoodj/helm-docs/cmd/helm-docs@$(HELM_DOCS)
	@operator=$(call MODULE,github.com/prometheus-operator/prometheus-operator@$(PROMETHEUS_OPERATOR)) && \
		cp $$operator/example/prometheus-operator-crd/*_podmonitors.yaml \
			$$operator/example/prometheus-operator-crd/*_servicemonitors.yaml \
			$$operator/example/prometheus-operator-crd/*_prometheusrules.yaml $(TOOLS)/crds
	@secrets=$(call MODULE,github.com/external-secrets/external-secrets@$(EXTERNAL_SECRETS)) && \
		cp $$secrets/config/crds/bases/external-secrets.io_externalsecrets.yaml $(TOOLS)/crds
	@chmod -R u+w $(TOOLS) && touch $@
