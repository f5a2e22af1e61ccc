# The targets of a fresh machine: `make demo` and `make test` need python3 and make, nothing before them.
# TORCH_INDEX: an index with CPU builds of torch, for machines where a plain pip would take the CUDA build.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := deploy/constraints.txt
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint $(PINS)
TORCH := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
READY := $(VENV)/.installed
# How many tests of `integration` run side by side; each process has a PostgreSQL of its own.
JOBS ?= 2

.PHONY: demo test check lint types unit contracts integration faults e2e serve bench bench-gpu fuzz-decode weights clean

demo: $(READY)
	$(BIN)/dicomqc demo

test: check integration faults e2e

check: lint types unit contracts

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/pytest -q tests/unit

contracts: $(READY)
	$(BIN)/pytest -q tests/contracts

integration: $(READY)
	$(BIN)/pytest -q --numprocesses $(JOBS) --dist worksteal tests/property tests/integration tests/training

faults: $(READY)
	$(BIN)/pytest -q tests/faults

e2e: $(READY)
	$(BIN)/pytest -q tests/e2e

serve: $(READY)
	$(BIN)/dicomqc serve

bench: $(READY)
	$(BIN)/python -m training complexity --measure
	$(BIN)/python -m tests.benchmarks

bench-gpu: $(READY)
	$(BIN)/python -m tests.benchmarks.bench_gpu

# 10,000 mutated streams for each transfer syntax; for parts: .venv/bin/python -m tests.benchmarks.fuzz_decode --help
fuzz-decode: $(READY)
	$(BIN)/python -m tests.benchmarks.fuzz_decode

# On two cores without bf16: 25 minutes to draw the cines, 32 of training, 5 of evaluation.
weights: $(READY)
	$(BIN)/python -m training weights --seed 20431 --init docs/results/candidate-6

# torch first and by itself, so that --index-url reaches nothing else; torchvision's own requirement of it is then met.
$(READY): pyproject.toml $(PINS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) $(TORCH) torch torchvision
	$(PIP) --editable '.[score,train,postgres,parquet]' --group dev
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache var
