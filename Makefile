# A machine needs only make and Python 3.11, 3.12 or 3.13; everything else is put into .venv.

.DEFAULT_GOAL := help
.PHONY: help install demo run test fuzz chaos check bench clean
MAKEFLAGS += --no-print-directory --no-builtin-rules

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet install
CACHES := .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

# The first Python of a fitting version; "none" otherwise.
find_python = $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& { echo $$python; exit; }; done; echo none)

help: ## Show this list
	@echo "Fitserve fits Keras models and serves them. Start with 'make demo'."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## Put Fitserve and all it needs into .venv

demo: .venv/.installed ## Show everything once: train a small model and predict (KEEP=1 leaves the service running)
	@$(BIN)/fitserve demo

run: .venv/.installed ## Run the service on http://127.0.0.1:8000 until Ctrl-C
	@$(BIN)/fitserve up

test: .venv/.installed-dev ## Run all tests (ARGS="-k name" chooses)
	@$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

fuzz: .venv/.installed-dev ## Send the parsers whatever bytes there are, and every operation whatever its schema allows (MINUTES=10)
	@end=$$(($$(date +%s) + 60 * $(or $(MINUTES),10))); while [ $$(date +%s) -lt $$end ]; do \
		CONTRACT_SEED=$$(date +%s) CONTRACT_EXAMPLES=100 CONTRACT_WALKS=200 $(BIN)/python -m pytest -n 2 --quiet --hypothesis-profile fuzz \
		$(wildcard tests/unit/*/test_*fuzz.py) tests/acceptance/test_openapi_contract.py $(ARGS) || exit; done

chaos: .venv/.installed-dev ## Kill, freeze and empty everything while runs go on (RUNS=1000, SEED=7)
	@CHAOS_RUNS=$(or $(RUNS),1000) CHAOS_SEED=$(or $(SEED),7) $(BIN)/python -m pytest tests/chaos $(ARGS)

check: .venv/.installed-dev ## Check style, types, the direction of imports, and packages for known vulnerabilities
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@BIN=$(BIN) .ci/audit

bench: .venv/.installed-dev ## Measure how fast fits, uploads and predictions are, how soon a run shows its first epoch, and what overload and durability cost
	@$(BIN)/python benchmarks/first_epoch.py
	@$(BIN)/python benchmarks/fit.py
	@PYTHONPATH=. $(BIN)/python benchmarks/durability.py
	@PYTHONPATH=. $(BIN)/python benchmarks/imports.py
	@PYTHONPATH=. $(BIN)/python benchmarks/model_check.py
	@PYTHONPATH=. $(BIN)/python benchmarks/predict.py
	@PYTHONPATH=. $(BIN)/python benchmarks/overload.py
	@PYTHONPATH=. $(BIN)/python benchmarks/version_load.py

clean: ## Remove .venv, caches and builds; data in .fitserve stays
	@rm -rf .venv $(CACHES)
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: python := $(find_python)
.venv/.installed: requirements.txt pyproject.toml
	@test $(python) != none \
		|| { echo "Fitserve needs Python 3.11, 3.12 or 3.13, and none is on the PATH." >&2; exit 1; }
	@$(python) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This $(python) cannot make virtual environments: install its venv package (Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Installing into .venv (only when requirements change; a few minutes at most) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(python) -m venv --clear .venv
	@$(PIP) -r requirements.txt
	@$(PIP) --no-deps -e .
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@$(PIP) -r requirements-dev.txt
	@touch $@
