# Everything a newcomer, a contributor and CI run. PYTHON chooses the interpreter that .venv is made with.
PYTHON ?= python3
BIN = .venv/bin
DONE = .venv/.installed
# A process a core; the tests of one file share their fixtures, so they stay together.
PARALLEL = -n auto --dist loadfile

.PHONY: install demo test check format results docs torture bench clean

install: $(DONE)  ## make .venv and install zapbench with its development tools

$(DONE): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "setuptools>=77" wheel numpy  # ecos has no wheel for Python 3.13
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[train,dev,bench,docs]"
	touch $@

demo: install  ## run a small suite on drawn letters and print its ranked table
	$(BIN)/zapbench suite demo

test: install  ## run all tests
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

check: install  ## what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

format: install  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

results: install  ## compute tables, pages, figures and the numbers in documents from the committed logs
	$(BIN)/python docs/results.py
	$(BIN)/python docs/networks.py
	$(BIN)/python docs/diagrams.py

docs: install  ## build the documentation into build/docs, with no network and no warning
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs

clean:  ## remove the environment and caches; runs are kept
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache build *.egg-info

torture: install  ## kill the demo 20 times and see that nothing is lost (about half an hour)
	$(BIN)/python benchmarks/torture.py

bench: install  ## measure episodes, transfer and the allocator beside plain loops (real Omniglot, an idle machine, hours)
	$(BIN)/python benchmarks/episodes.py
	$(BIN)/python benchmarks/transfer.py --threads 1
	$(BIN)/python benchmarks/transfer.py --threads 2
	$(BIN)/python benchmarks/unfrozen.py
	$(BIN)/python benchmarks/allocator.py
	$(BIN)/python benchmarks/agreement.py
