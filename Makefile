# All set-up on a fresh machine with Python 3.11+ and make.
#   make demo   the whole job, small, on this machine       make test   the tests
#   make venv   the development environment alone           make check  ruff, format, mypy
#   make test-slow  what is slow, browsers and servers      make test-all  both
#   make evidence PART=...  large grids, by hand            make bench  speed, as ratios
#   make test-versions  with the oldest and newest versions of all dependencies, by hand
#   make dist   the wheel and the source archive            make format  what ruff can mend
#   make docs   the documentation site, in site/
PYTHON ?= python3
BIN := .venv/bin
INSTALL := bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PIP := .venv/$(INSTALL)
OUT ?= demo

.PHONY: demo test test-slow test-all test-versions test-oldest test-newest evidence venv check format bench docs dist clean

.venv/.created:
	$(PYTHON) -c 'import sys; sys.exit("mnas-evo needs Python 3.11 or later; give make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.core: .venv/.created pyproject.toml constraints.txt
	@echo "installing mnas-evo and what it needs (about 2 GB; some minutes the first time)"
	$(PIP) -e .
	touch $@

.venv/.test: .venv/.core
	$(PIP) -e '.[test]'
	touch $@

.venv/.dev: .venv/.test
	$(PIP) -e '.[dev]'
	touch $@

.venv/.evidence: .venv/.dev
	$(PIP) -e '.[evidence]'
	touch $@

.venv/.docs: .venv/.core
	$(PIP) -e '.[docs]'
	touch $@

venv: .venv/.dev

demo: .venv/.core
	$(BIN)/mnas-evo demo --out $(OUT)

# A process a core, of at most eight: a process takes about a gigabyte.
PYTEST = bin/python -m pytest --dist loadgroup --slowest 20
FAST = $(PYTEST) --numprocesses auto --maxprocesses 8

test: .venv/.test
	.venv/$(FAST)

# Chromium, Ray and servers take memory: two processes.
test-slow: .venv/.test
	.venv/$(PYTEST) --numprocesses auto --maxprocesses 2 -m "slow or browser or remote"

test-all: test test-slow

# The fast tests with the oldest and with the newest versions that pyproject.toml admits, by hand, each in an
# environment made anew. torch is that of constraints.txt in both: the others bring GBs of GPU libraries.
test-versions: test-oldest test-newest

test-oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tests/support/oldest_versions.py > .venv-oldest/constraints.txt
	.venv-oldest/$(INSTALL) -c .venv-oldest/constraints.txt -e '.[test]'
	.venv-oldest/$(FAST) -W default  # old releases warn of what is newer still beneath them

test-newest:
	$(PYTHON) -m venv --clear .venv-newest
	.venv-newest/$(INSTALL) -e '.[test]'
	.venv-newest/$(FAST)

# Large grids, fuzzing, kills and mutants, by hand: a part takes at most an hour, resumes, and writes benchmarks/evidence/PART.md
evidence: .venv/.evidence
	PYTHONPATH=tests $(BIN)/python -m evidence $(PART)

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.core
	$(BIN)/python benchmarks/genes.py
	$(BIN)/python benchmarks/pricing.py
	$(BIN)/python benchmarks/fitting.py
	$(BIN)/python benchmarks/onnx_writing.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/supernet.py
	$(BIN)/python benchmarks/search.py

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "site/index.html; with its search: $(BIN)/python -m http.server --directory site --bind 127.0.0.1"

dist: .venv/.test
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf .venv .venv-oldest .venv-newest dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis
