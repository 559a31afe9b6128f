# Two commands on a fresh machine with Python 3.11 and make:  make demo   and   make test
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.eduq-setup
EXAM := sample_data/2025-2-g9-final
PRIOR := sample_data/2024-2-g8-final
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-archive test lint type docs golden gallery bench check

help:  ## list the targets
	@grep -E '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

setup: $(STAMP)  ## make the virtual environment .venv with eduq and its tools

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("eduq needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=...)") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: setup  ## make the sample county's bulletin, in Chinese and in English, under demo_output/
	$(BIN)/eduq analyze $(EXAM) --registers sample_data/registers --prior $(PRIOR) --out demo_output/zh --lang zh
	$(BIN)/eduq analyze $(EXAM) --registers sample_data/registers --prior $(PRIOR) --out demo_output/en --lang en

DEMO := build/demo-archive
AS_OF ?= 2026-08-31
SCHOOL ?= S006
RULE ?= ezhou.head.yellow

demo-archive: setup  ## build build/demo-archive from every exam of the sample, judge it and explain one verdict
	rm -rf $(DEMO) $(DEMO).key $(DEMO)-out
	mkdir -p $(DEMO)-out
	$(BIN)/eduq archive init --archive $(DEMO) --key-file $(DEMO).key
	$(BIN)/eduq archive add sample_data/20* --registers sample_data/registers --archive $(DEMO) --key-file $(DEMO).key --operator demo
	$(BIN)/eduq archive verify --archive $(DEMO)
	$(BIN)/eduq trend --archive $(DEMO) --as-of $(AS_OF) --out $(DEMO)-out/trend.csv
	$(BIN)/eduq judge --pack ezhou --archive $(DEMO) --as-of $(AS_OF) --format csv --out $(DEMO)-out/verdicts.csv
	$(BIN)/eduq why $(SCHOOL) --rule $(RULE) --archive $(DEMO) --as-of $(AS_OF) --format json --out $(DEMO)-out/why-$(SCHOOL)-$(RULE).json
	$(BIN)/eduq why $(SCHOOL) --rule $(RULE) --archive $(DEMO) --as-of $(AS_OF) --format html --out $(DEMO)-out/why-$(SCHOOL)-$(RULE).html
	@echo "archive: $(DEMO)   key (throw-away): $(DEMO).key   results: $(DEMO)-out"
	@ls $(DEMO)-out/*

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

gallery: setup  ## take the pictures of docs/gallery again (needs chromium)
	$(BIN)/python -m tests.browser.gallery

bench: setup  ## measure against the budgets of docs/performance.md (some minutes; R is optional)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/bench_analyze.py
	$(BIN)/python benchmarks/bench_levels.py
	$(BIN)/python benchmarks/bench_intake.py
	$(BIN)/python benchmarks/bench_declines.py
	$(BIN)/python benchmarks/bench_growth.py
	$(BIN)/python benchmarks/bench_percentiles.py --quantiles 10
	$(BIN)/python benchmarks/bench_stress.py
	$(BIN)/python benchmarks/bench_stress.py --table
	$(BIN)/python benchmarks/calibration/declines.py --worlds 4000
	$(BIN)/python benchmarks/calibration/ranks.py --worlds 3000
	$(BIN)/python benchmarks/bench_archive.py
	$(BIN)/python benchmarks/fuzz_intake.py
	$(BIN)/python benchmarks/kill_archive.py

check: lint type test  ## all of the above that can fail
