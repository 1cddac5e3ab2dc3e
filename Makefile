# `make demo` and `make test` do all the setup on a fresh machine.
PYTHON ?= python3
BIN := .venv/bin
# If this is set, every `import sky` compiles its modules again: 8 s instead of 2.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-real check types sql-style fmt golden docs structure pictures bench build lock clean

demo: .venv/.installed  ## replay a recorded experiment, show its status, write its report
	$(BIN)/fmon replay data/demo
	$(BIN)/fmon status -e debug_factorial
	@echo && echo "The report (open the .html in a browser):"
	$(BIN)/fmon report debug_factorial

test: .venv/.installed check  ## all checks and tests that need no server, no browser and no root
	$(BIN)/pytest -n auto --dist loadfile

test-real: .venv/.installed  ## slow tests, and tests against a real SkyPilot (installed with apt and pip; skipped with the reason if not possible)
	$(BIN)/pytest -m "real or slow" -n 2 --dist loadgroup

check: .venv/.installed  ## formatting, lint, types, import layers
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	@$(MAKE) --no-print-directory -j2 types sql-style
	$(BIN)/lint-imports --no-logo > .import_linter.log || { cat .import_linter.log; exit 1; }

types:  # beside sql-style: each takes half a minute of one core on a fresh clone
	$(BIN)/mypy --no-error-summary

sql-style:
	$(BIN)/sqlfluff lint -q sql

fmt: .venv/.installed
	$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix . && $(BIN)/sqlfluff fix -q sql

golden: .venv/.installed  ## rewrite tests/golden; review the diff
	FMON_GOLDEN=write $(BIN)/pytest -q -k golden -m "not real"

docs: .venv/.installed  ## rewrite the generated docs and JSON Schemas
	$(BIN)/python -m tests.tools.generate

structure: .venv/.installed  ## the import graph: rooms, levels, cycles
	$(BIN)/python -m tests.tools.graph

pictures: .venv/.installed  ## docs/img/*.png of the report, in Chromium
	$(BIN)/python -m tests.tools.pictures

bench: .venv/.installed
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

build: .venv/.installed
	$(BIN)/python -m build --installer uv

lock: .venv/.installed
	$(BIN)/uv pip compile -q --upgrade pyproject.toml --group dev --all-extras --universal --python-version 3.11 \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf .venv build dist *.egg-info .*_cache .hypothesis .import_linter.log

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "fmon needs Python >= 3.11, $(PYTHON) is older: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Creating .venv and installing the locked versions into it (about a minute) ..."
	@$(PYTHON) -m venv .venv || { \
	    echo "no venv in this Python; on Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install -q uv
	@$(BIN)/uv pip install -q --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@
