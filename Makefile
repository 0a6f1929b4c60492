# Two commands set everything up:  make demo   and   make test.
# Both make .venv on first use and leave it alone until pyproject.toml changes.

VENV   := .venv
BIN    := $(VENV)/bin
THREADS ?= 2
# Processes that run the tests; each takes whole files, which share what they simulate.
WORKERS ?= 2

# The first interpreter found that is new enough; override with  make demo PYTHON=/path/to/python3
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

.PHONY: help demo test test-gpu check lint types imports bench clean

help:
	@echo "make demo    install into $(VENV), simulate an exposure, calibrate it, draw a picture (in ./demo)"
	@echo "make test    install with the test tools, then check style, types, imports, and run the tests"
	@echo "make test-gpu  what only a GPU can show: its tests, compute-sanitizer, bench/gpu.py"
	@echo "make check   the same without the tests (seconds)"
	@echo "make bench   time the kernels, and compare with the official package"
	@echo "make clean   remove what was built (and $(VENV))"

demo: $(VENV)/.installed
	$(BIN)/jwgpu demo --output-dir demo --threads $(THREADS)

test: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test-gpu: $(VENV)/.installed-test
	$(BIN)/python tests/on_gpu.py

check: lint types imports

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

imports: $(VENV)/.installed-test
	$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only
	$(BIN)/python bench/compare_jwst.py

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks .import_linter_cache
	find jwgpu tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "jwgpu needs Python 3.11 or newer, and found none; install one, or name it: make demo PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# An editable installation, so that the checkout is what runs.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@ $(VENV)/.installed
