# Needs python3 (3.11 or newer; on Debian and Ubuntu also python3-venv), git and make. Every target sets up what it
# needs.
PYTHON ?= python3
JOBS ?= 2
TESTS ?= tests
OPTIONS ?=
BIN := .venv/bin
PYTEST := $(BIN)/pytest --numprocesses $(JOBS) --no-loadscope-reorder $(TESTS) $(OPTIONS)

# An environment that cannot work, as a first try without python3-venv or with an older Python leaves it, is made anew.
NOT_TOO_OLD := import sys; sys.version_info < (3, 11) and sys.exit("Needs Python 3.11 or newer: make serve PYTHON=python3.12")

# Where this is set, each process of a service and of the tests would compile anew what all of them load.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup serve demo pictures test test-slow test-all check bench lock release clean

setup: .venv/.dev                     ## everything for development

serve: .venv/.cpu                     ## the HTTP service on 127.0.0.1:8000
	$(BIN)/mouthpiece serve

demo: .venv/.cpu                      ## the demo clip speaks: out/demo.mp4
	$(BIN)/python demo/run.py

pictures: .venv/.dev                  ## docs/images anew: the moving demo, the studio
	$(BIN)/python -m demo.pictures

test: .venv/.dev                      ## the tests, without the slow ones
	$(PYTEST)

test-slow: .venv/.torch               ## the slow tests alone; nothing may be missing
	$(PYTEST) -m slow --nothing-missing

test-all: .venv/.torch                ## all tests, with coverage; nothing may be missing (scripts/services installs it)
	$(PYTEST) -m "" --nothing-missing --cov --cov-report term:skip-covered

check: .venv/.torch                   ## format, lint, types, of everything that is written here
	./scripts/check

bench: .venv/.dev                     ## how fast it is here
	$(BIN)/python -m benchmarks

lock: .venv/.dev                      ## requirements/*.txt anew from pyproject.toml
	./requirements/lock

release: .venv/.dev                   ## a release of VERSION: changelog, tag, wheel, image
	$(BIN)/python scripts/release.py $(VERSION)

clean:                                ## all that make has made, but no avatars, jobs and results
	rm -rf .venv out dist node_modules .coverage .mypy_cache .pytest_cache .ruff_cache

.venv/.cpu: requirements/cpu.txt
	$(BIN)/python -c 'import pip; $(NOT_TOO_OLD)' 2>/dev/null || \
		{ $(PYTHON) -c '$(NOT_TOO_OLD)' && $(PYTHON) -m venv --clear .venv; }
	$(BIN)/pip install --quiet --require-hashes -r requirements/cpu.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.venv/.dev: .venv/.cpu requirements/dev.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

# The release of torch that pyproject.toml and requirements/cuda.txt name. It is not in dev.txt: all but the tests of its
# paths and the check of types works without it.
.venv/.torch: .venv/.dev requirements/cuda.txt
	$(BIN)/pip install --quiet "$$(grep -om1 '^torch==[0-9.]*' requirements/cuda.txt)"
	touch $@
