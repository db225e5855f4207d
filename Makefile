# Two commands for a fresh machine with Python and make: `make demo` and `make test`.
# Another Python than python3: make test PYTHON=python3.12

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# A stamp is written last, so a broken install does not count as done. Stamps lie in the environment and carry the
# Python's version: another Python makes the environment anew, and so does a change of what is installed.
MADE := $(VENV)/made-$(VERSION)
TRAIN := $(VENV)/train-$(VERSION)
DEV := $(VENV)/dev-$(VERSION)

.PHONY: help demo test test-slow clean python
.NOTPARALLEL:
.SILENT:

help:
	echo "make demo       install, then run recipes/uav.yaml: train teachers, distil a student, score both, export to INT8, draw an overlay"
	echo "make test       install, then linter, formatter, import contract and tests"
	echo "make test-slow  install, then the tests marked slow"
	echo "make clean      remove the environment and the caches; runs/ stays"
	echo "PYTHON=python3.12 chooses the Python (default: python3); edgekit needs 3.10 or newer"

demo: python $(TRAIN)
	$(BIN)/edgekit distill recipes/uav.yaml
	$(BIN)/edgekit export --target cpu --out bundles/uav-cpu
	$(BIN)/edgekit run bundles/uav-cpu --input bundles/uav-cpu/frame.png --output bundles/uav-overlay

test: python $(DEV)
	echo "== ruff check" && $(BIN)/ruff check --quiet .
	echo "== ruff format --check" && $(BIN)/ruff format --check --quiet .
	echo "== lint-imports" && $(BIN)/lint-imports --no-logo
	echo "== pytest" && $(BIN)/python -m pytest -q -n auto --maxprocesses 8

# One at a time, for these train and measure. 5 is what pytest returns where no test is marked.
test-slow: python $(DEV)
	echo "== pytest -m slow"; $(BIN)/python -m pytest -q -m slow || [ $$? -eq 5 ]

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "edgekit needs Python 3.10 or newer; $(PYTHON) is $(or $(VERSION),not there)." \
	    "Name another one: make PYTHON=python3.12" >&2; exit 1; }

$(MADE): pyproject.toml constraints.txt
	echo "making $(VENV) with Python $(VERSION)"
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	touch $@

$(TRAIN): $(MADE)
	echo "installing edgekit with what training needs (PyTorch takes the longest)"
	$(PIP) -e '.[train]'
	touch $@

$(DEV): $(TRAIN)
	echo "installing what testing needs"
	$(PIP) -e '.[dev]'
	$(BIN)/python tools/real_bindings.py --download
	touch $@
