# Two commands are enough: `make ask` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
QUESTION ?= Mia bakes 5 trays of 12 muffins and sells them for 2 dollars each. How much money does Mia make?

.PHONY: ask test test-long bench lint clean

ask: .venv/ask.stamp .venv/base.stamp
	$(BIN)/dnc-edge ask "$(QUESTION)"

test: .venv/dev.stamp lint
	$(BIN)/pytest -m "not long"

test-long: .venv/dev.stamp
	$(BIN)/pytest -m long --timeout=3600

bench: .venv/dev.stamp
	$(BIN)/dnc-edge bench overhead --out bench/results/overhead.json
	$(BIN)/dnc-edge bench batch --out bench/results/batch.json
	$(BIN)/dnc-edge bench engines --out bench/results/engines.json
	$(BIN)/dnc-edge bench speed --out bench/results/speed.json
	$(BIN)/dnc-edge bench plans --out bench/results/plans.json
	$(BIN)/dnc-edge bench student --out bench/results/student.json
	$(BIN)/dnc-edge bench quant --out build/quant

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv build *.egg-info

.venv/bin/pip:
	$(PYTHON) -m venv .venv

# ONNX Runtime alone: nothing is compiled.
.venv/ask.stamp: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Setting up; about a minute ..."
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[cpu]"
	touch $@

# 98 MB, once. Without it the small student answers, and the next call tries again.
.venv/base.stamp: .venv/ask.stamp
	-$(BIN)/dnc-edge students pull smollm2-135m && touch $@

.venv/dev.stamp: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Setting up; llama.cpp is compiled once, which takes about five minutes ..."
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@ .venv/ask.stamp
