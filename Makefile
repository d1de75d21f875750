# The two commands of the README, and the shorter ones that they are made of.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types layers unit slow bench docs clean

demo: .venv/installed
	$(BIN)/python examples/demo.py demo-output

test: lint types layers unit slow

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

layers: .venv/installed
	$(BIN)/lint-imports

unit: .venv/installed
	$(BIN)/pytest -n 2 -m "not slow"

slow: .venv/installed
	$(BIN)/pytest -n 2 -m slow

# DATA is a folder of data sets laid out as benchmarks/README.md says
bench: .venv/installed
	$(BIN)/python benchmarks/reconstruction.py $(DATA)
	$(BIN)/python benchmarks/fit_speed.py --install-peers $(DATA)
	$(BIN)/python benchmarks/anomalies.py --install-peers $(DATA)
	$(BIN)/python benchmarks/anomalies_signals.py $(DATA)
	$(BIN)/python benchmarks/maps.py --install-peers $(DATA)
	$(BIN)/python benchmarks/denoising.py --install-peers $(DATA)
	$(BIN)/python benchmarks/compression.py --install-peers $(DATA)
	$(BIN)/python benchmarks/neighbours.py --install-peers $(DATA)
	$(BIN)/python benchmarks/stores.py $(DATA)
	$(BIN)/python benchmarks/duplicates.py $(DATA)
	$(BIN)/python benchmarks/labels.py $(DATA)
	$(BIN)/python benchmarks/pairs.py $(DATA)
	$(BIN)/python benchmarks/one_shot.py $(DATA) --seeds 0 1 2 3 4 5 6 7 8 9
	$(BIN)/python benchmarks/pair_report.py
	$(BIN)/python benchmarks/ijepa.py $(DATA) --only fashion --minutes 2 --seeds 0 1 2
	$(BIN)/python benchmarks/generation.py $(DATA)
	$(BIN)/python benchmarks/exporting.py agree $(DATA)
	$(BIN)/python benchmarks/exporting.py speed

docs: .venv/installed
	$(BIN)/pip install -q -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv demo-output site
