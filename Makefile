# make run   the quick suite on the embedded dataset, from nothing but a package index
# make test  lint, types and tests
# make gate  the fast deterministic methods against results/baseline.parquet
# make leaderboards  what results/ publishes: all methods on wiki, emoji and openclipart; takes an hour or more

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests read the datasets that are not in the repository from here; without it they are skipped with the reason.
export CMRBENCH_TEST_DATA

.PHONY: run test lint gate baseline leaderboards clean

run: $(VENV)/.installed
	$(BIN)/cmrbench run --suite quick --results results
	$(BIN)/cmrbench report --results results --format md --output results/leaderboard.md

test: $(VENV)/.installed-dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

gate: $(VENV)/.installed
	$(BIN)/cmrbench run --suite fast --results build/gate
	$(BIN)/cmrbench gate --baseline results/baseline.parquet --results build/gate

baseline: $(VENV)/.installed
	$(BIN)/cmrbench run --suite fast --results build/gate
	$(BIN)/cmrbench gate --update --baseline results/baseline.parquet --results build/gate

leaderboards: $(VENV)/.installed
	$(BIN)/cmrbench run --suite leaderboards --results build/leaderboards
	for dataset in wiki emoji openclipart; do \
	    $(BIN)/cmrbench report --results build/leaderboards --dataset $$dataset \
	        --output results/leaderboards/$$dataset.md || exit 1; \
	done
	$(BIN)/cmrbench report --results build/leaderboards --table all --published --format md --output results/tables
	$(BIN)/python -m tools.make_results_page --results build/leaderboards

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
