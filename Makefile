# Two commands for a fresh machine with Python and make: `make demo` and `make test`. Another Python: PYTHON=python3.12.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Empty where PYTHON is missing; `=` and not `:=`, so that `make help` and `make clean` need no Python.
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
PIP = $(BIN)/python -m pip --disable-pip-version-check --require-virtualenv

# An install is done when its stamp exists, and the stamp is the last thing written. The Python's version is part of the
# name: another one makes the environment anew, and so does a change of what is installed.
MADE = $(VENV)/made-$(VERSION)
TRAIN = $(VENV)/train-$(VERSION)
DEV = $(VENV)/dev-$(VERSION)

.PHONY: help demo test test-slow clean python
.NOTPARALLEL:
.SILENT:
.SECONDEXPANSION:

help:
	echo "make demo       install, then train, distil and score recipes/uav.yaml on data made here"
	echo "make test       install, then linter, formatter, import contract and tests"
	echo "make test-slow  the tests marked slow"
	echo "make clean      remove the environment and caches (runs/ stays)"
	echo "PYTHON=python3.12 chooses the Python (default: python3); edgekit needs 3.10 or newer"

demo: python $$(TRAIN)
	$(BIN)/edgekit distill recipes/uav.yaml

test: python $$(DEV)
	echo "== ruff check" && $(BIN)/ruff check --quiet .
	echo "== ruff format --check" && $(BIN)/ruff format --check --quiet .
	echo "== lint-imports" && $(BIN)/lint-imports
	echo "== pytest" && $(BIN)/python -m pytest -q -n auto --maxprocesses 8

# One test at a time: these time and train things. Exit code 5 is pytest's for "no test is marked so".
test-slow: python $$(DEV)
	echo "== pytest -m slow" && { $(BIN)/python -m pytest -q -m slow || [ $$? -eq 5 ]; }

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "edgekit needs Python 3.10 or newer; $(PYTHON) is $(or $(VERSION),not there). Name another: make PYTHON=python3.12" >&2; \
	  exit 1; }

$(VENV)/made-%: pyproject.toml constraints.txt
	echo "making $(VENV) with Python $*"
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/train-%: $(VENV)/made-%
	echo "installing edgekit and what training needs (the longest part is PyTorch)"
	$(PIP) install --quiet -c constraints.txt -e '.[train]'
	touch $@

$(VENV)/dev-%: $(VENV)/train-%
	echo "installing what testing needs"
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@
