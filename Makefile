# make demo   answers the opening question on a local provider      (ARGS="--calls 300 --keep" and the like are passed on)
# make test   runs the tests                                       (ARGS="-k retries")
# Each does its own set-up in .venv; Python >= 3.11 is all that has to be there.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test lint format wheel wheel-test sdk-test bench prices docs dashboards clean

demo: $(VENV)/.demo
	@$(BIN)/costspan demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python tools/build_prices.py --check
	$(BIN)/python tools/make_docs.py --check
	$(BIN)/python grafana-dashboards/build.py --check

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
	$(VENV)-wheel/bin/python -P -m pytest $(ARGS)

# The real SDKs, oldest and newest of each major version, against the wheel.
sdk-test: wheel $(VENV)/.test
	$(BIN)/python tests/sdk/matrix.py --wheel "$$(ls dist/*.whl)"

bench: $(VENV)/.bench
	cd tests/bench && ../../$(BIN)/python all.py

prices: $(VENV)/.test
	$(BIN)/python tools/build_prices.py

docs: $(VENV)/.test
	$(BIN)/python tools/make_docs.py

dashboards: $(VENV)/.lint
	$(BIN)/python grafana-dashboards/build.py

clean:
	rm -rf $(VENV) $(VENV)-wheel dist .pytest_cache .hypothesis .ruff_cache

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

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/pip install --quiet --group bench
	@touch $@
