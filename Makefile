# Two commands on a fresh machine with Python 3.11 and make:  make demo   and   make test
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.eduq-setup
EXAM := sample_data/2025-2-g9-final
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint type docs golden gallery bench check

help:  ## list the targets
	@grep -E '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "  make %-8s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## make the virtual environment .venv with eduq and its tools

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("eduq needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=...)") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: setup  ## make the sample county's bulletin, in Chinese and in English, under demo_output/
	$(BIN)/eduq analyze $(EXAM) --registers sample_data/registers --out demo_output/zh --lang zh
	$(BIN)/eduq analyze $(EXAM) --registers sample_data/registers --out demo_output/en --lang en

test: setup  ## run all tests
	$(BIN)/python -m pytest -n $(WORKERS)

lint: setup  ## check style and the direction of imports
	$(BIN)/ruff check src tests docs
	$(BIN)/ruff format --check src tests docs
	$(BIN)/lint-imports

type: setup  ## check types
	$(BIN)/mypy

docs: setup  ## write the generated pages of docs/reference
	$(BIN)/python docs/generate.py

golden: setup  ## write the golden bulletins anew; read the difference before you commit it
	EDUQ_WRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/golden

gallery: demo  ## take the pictures of docs/gallery again (needs chromium)
	for lang in zh en; do chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1200,1000 \
	  --screenshot=docs/gallery/bulletin-$$lang.png "file://$(CURDIR)/demo_output/$$lang/bulletin.html"; done

bench: setup  ## measure against the budgets of docs/performance.md (some minutes; R is optional)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/bench_analyze.py
	$(BIN)/python benchmarks/bench_levels.py
	$(BIN)/python benchmarks/bench_intake.py
	$(BIN)/python benchmarks/fuzz_intake.py

check: lint type test  ## all of the above that can fail
