PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   := $(VENV)/.runs
READY  := $(VENV)/.ready
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
# On all cores; a few files are templates or for other versions of Python.
COMPILE = $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

# Hundreds of processes are started: what one has compiled, the others need not.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo run up down check test thorough gpu lint types docs clean

help: ## What there is to do
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 10

setup: $(READY) ## Install everything into .venv
$(RUNS): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Archloop needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[cli,otel,smollm2]'
	$(COMPILE)
	touch $@
$(READY): $(RUNS)
	$(PIP) --editable '.[dev]'
	$(COMPILE)
	touch $@

demo: $(RUNS) ## Run the closed loop once: 5 cycles of 64 candidates, ending in a report
	$(BIN)/archloop run --preset demo

run: $(RUNS) ## Any archloop command: make run ARGS="doctor"
	$(BIN)/archloop $(ARGS)

up: .env ## The whole deployment in containers, from this checkout
	docker compose up --build --detach --wait --wait-timeout 900

.env:
	$(PYTHON) -m archloop_cli.environment $@

down: ## Stop the deployment; its data stay
	docker compose down

check: $(READY) ## The inner loop, within a minute: style, layers, types, quick unit tests that need no torch
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m pytest -p tests.torchless --numprocesses 2 --dist loadfile --no-loadscope-reorder \
	    -m "not slow and not thorough" tests/unit --ignore tests/unit/k8s

test: $(READY) ## The tests, on four processes: many of them wait for servers
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

thorough: $(READY) ## The tests, and those members of slow kinds that `make test` leaves out
	$(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m "thorough or not thorough"

gpu: $(READY) ## What only a GPU can prove, in ten minutes: make gpu ARGS="--data ../cifar10"
	$(BIN)/python -m benchmarks.gpu --out . $(ARGS)

lint: $(READY) ## Style, layers between packages, drift of generated pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m archloop_cli.docs --check

types: $(READY) ## mypy, strict
	$(BIN)/mypy

docs: $(READY) ## Write the generated reference pages
	$(BIN)/python -m archloop_cli.docs

clean: ## Remove what the targets above made, but no run
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache
