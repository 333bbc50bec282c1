# Needs python3 (3.11 or newer), git and make. Every target sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup serve demo test check bench lock clean

setup: .venv/.dev                     ## everything for development

serve: .venv/.cpu                     ## the HTTP service on 127.0.0.1:8000
	$(BIN)/mouthpiece serve

demo: .venv/.cpu                      ## the demo clip speaks: out/demo.mp4
	$(BIN)/python demo/run.py

test: .venv/.dev                      ## all tests
	$(BIN)/pytest

check: .venv/.dev                     ## format, lint, types
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

bench: .venv/.dev                     ## how fast it is here
	$(BIN)/python -m benchmarks

lock: .venv/.dev                      ## requirements/*.txt anew from pyproject.toml
	./requirements/lock

clean:                                ## all that make has made
	rm -rf .venv out data .mypy_cache .pytest_cache .ruff_cache

.venv/.cpu: requirements/cpu.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/cpu.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/.dev: .venv/.cpu requirements/dev.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@
