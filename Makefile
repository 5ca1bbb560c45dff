# The studio's five doors: make studio | test | lint | types | bench. `make clean` removes the environment.
# A machine needs Python 3.11 or 3.12 and a package index, nothing else.
#   TORCH_INDEX=https://download.pytorch.org/whl/cpu   the small torch wheel on a Linux machine without a GPU
#   PYTHON=/path/to/python3.12                         which interpreter makes the environment
VENV := .venv
PY := $(VENV)/bin/python
PIP_INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
RIGHT_VERSION := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for each in python3.11 python3.12 python3 python; do $$each -c "$(RIGHT_VERSION)" >/dev/null 2>&1 && echo $$each && break; done)
PYTEST := $(PY) -m pytest

.PHONY: studio test lint types bench clean
.DEFAULT_GOAL := studio

studio: $(VENV)/.ready
	$(PY) app.py

test: $(VENV)/.ready-dev lint types
	$(PYTEST) -n 2 --dist loadfile -m "not fault and not e2e and not gpu"
	$(PYTEST) -n 2 --dist loadfile -m "fault or e2e or gpu"

lint: $(VENV)/.ready-dev
	$(PY) -m ruff check .
	$(VENV)/bin/hadolint Dockerfile

types: $(VENV)/.ready-dev
	$(PY) -m mypy

bench: $(VENV)/.ready-dev
	$(PY) -m benchmarks --quick

$(PY):
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 with venv is needed: install it, or say PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: requirements.txt constraints.txt | $(PY)
	@echo "Installing the studio into $(VENV) (a few minutes the first time) ..."
	$(PIP_INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/.ready-dev: tests/requirements.txt $(VENV)/.ready
	$(PIP_INSTALL) --requirement tests/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
