# One command each. Every target makes the .venv it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SEED   ?= 1
KILLS  ?= 2000

.PHONY: setup run test check sim crash bench bench-peers clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

run: setup
	@$(BIN)/store serve --data data --demo

test: setup
	@$(BIN)/python -m pytest

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

sim: setup
	@$(BIN)/python -m tests.sim --seed $(SEED)

crash: setup
	@$(BIN)/python -m tests.crash --kills $(KILLS) --seed $(SEED)

bench: setup
	@$(BIN)/python -m bench

bench-peers: setup
	@$(BIN)/python -m bench.peers

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
