# make demo   answers the opening question on a local provider      (ARGS="--calls 300 --keep" and the like are passed on)
# make test   runs the tests                                       (ARGS="-k retries")
# make stack  starts Collector, Tempo, Prometheus, Alertmanager, Grafana and the ledger in containers; make stack-down stops them
# make stack-deps stack-test   runs the same configuration files on real programs, without containers
# Each does its own set-up in .venv; Python >= 3.11 is all that has to be there.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
# As many processes as there are processors, four at most. PARALLEL= for one.
PARALLEL ?= -n auto --maxprocesses 4 --dist worksteal

.PHONY: demo test lint format wheel wheel-test sdk-test framework-test bench prices docs dashboards alerts clean \
	stack stack-down stack-deps stack-test

demo: $(VENV)/.demo
	@$(BIN)/costspan demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python tools/build_prices.py --check
	$(BIN)/python tools/make_docs.py --check
	$(BIN)/python grafana-dashboards/build.py --check
	$(BIN)/python alerts/build.py --check

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.lint
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# The tests, against the wheel alone: src is not on the path.
wheel-test: wheel
	rm -rf $(VENV)-wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/pip install --quiet --upgrade pip
	$(VENV)-wheel/bin/pip install --quiet "$$(ls dist/*.whl)[demo,prices]" --group test
	$(VENV)-wheel/bin/python -P -m pytest $(PARALLEL) $(ARGS)

# The real SDKs, oldest and newest of each major version, against the wheel.
sdk-test: wheel $(VENV)/.sdk
	$(BIN)/python tests/sdk/matrix.py --wheel "$$(ls dist/*.whl)" --write docs/coverage.md

# Real frameworks above the real SDKs, against the wheel.
framework-test: wheel
	rm -rf $(VENV)-frameworks
	$(PYTHON) -m venv $(VENV)-frameworks
	$(VENV)-frameworks/bin/pip install --quiet --upgrade pip
	$(VENV)-frameworks/bin/pip install --quiet "$$(ls dist/*.whl)[demo,prices]" --group test --group frameworks
	$(VENV)-frameworks/bin/python -P -m pytest tests/frameworks $(ARGS)

bench: $(VENV)/.bench
	cd tests/bench && ../../$(BIN)/python all.py

# The stack in containers: Collector, Tempo, Prometheus, Alertmanager, Grafana, ledger.   (PROFILE=demo, PROFILE=scale)
PROFILE ?=
SCALE := $(findstring scale,$(PROFILE))
SECRETS := COSTSPAN_REDACTION_KEY COSTSPAN_PAGE_TOKEN GRAFANA_PASSWORD CLICKHOUSE_PASSWORD
stack: .env
	@for name in $(SECRETS); do grep -q "^$$name=" .env || \
		echo "$$name=$$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >> .env; done
	COMPOSE_PROFILES=$(PROFILE) $(if $(SCALE),COLLECTOR_STORE=clickhouse.yaml GRAFANA_PLUGINS=grafana-clickhouse-datasource@4.20.0) \
		docker compose up --detach --build --wait
	@echo "Programs send to localhost:4317 and 4318. Grafana: http://localhost:3000 (admin, the password is in .env)"
	@echo "The ledger's page: http://localhost:8421/?token=... (COSTSPAN_PAGE_TOKEN, in .env)"

stack-down:
	COMPOSE_PROFILES=demo,scale docker compose down

# For secrets that nobody chose: made once, readable by their owner only.
.env:
	@umask 077; touch $@
	@mkdir -p deploy/alertmanager/secrets grafana-dashboards
	@for name in slack_url webhook_url smtp_password; do touch deploy/alertmanager/secrets/$$name; done

# The same files on real programs, without containers: tools/stack_deps.py builds what can be had, into .stack
stack-deps: $(VENV)/.stack
	$(BIN)/python tools/stack_deps.py

stack-test: $(VENV)/.stack
	$(BIN)/python -m pytest -o addopts="--import-mode=importlib -ra --strict-markers --strict-config" tests/stack $(ARGS)

prices: $(VENV)/.test
	$(BIN)/python tools/build_prices.py

docs: $(VENV)/.test
	$(BIN)/python tools/make_docs.py

dashboards: $(VENV)/.lint
	$(BIN)/python grafana-dashboards/build.py

alerts: $(VENV)/.lint
	$(BIN)/python alerts/build.py

clean:
	rm -rf $(VENV) $(VENV)-wheel $(VENV)-frameworks dist .pytest_cache .hypothesis .ruff_cache

$(VENV)/.base:
	@if [ -z "$(PYTHON)" ]; then echo "costspan needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python3." >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.base pyproject.toml
	$(BIN)/pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.base pyproject.toml
	$(BIN)/pip install --quiet --editable '.[demo,prices]' --group test
	@touch $@ $(VENV)/.demo

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/pip install --quiet --group lint
	@touch $@

$(VENV)/.sdk: $(VENV)/.test
	$(BIN)/pip install --quiet --group sdk
	@touch $@

$(VENV)/.stack: $(VENV)/.test
	$(BIN)/pip install --quiet --group stack
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/pip install --quiet --group bench
	@touch $@
