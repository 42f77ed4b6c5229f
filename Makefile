# make demo     segment a built-in phantom, or VOLUME=... PROMPTS=..., on a machine that has nothing but Python 3.10 or newer
# make test     install what the tests need, check the style, run all tests
# make benchmark, make lint, make clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo
VOLUME ?=
PROMPTS ?=

# sam2 is built from its sources: without CUDA code of its own, and against the torch that is already installed.
export SAM2_BUILD_CUDA := 0

.PHONY: demo test lint benchmark clean

demo: $(VENV)/.installed
	$(BIN)/samsegmenter demo --output "$(OUTPUT)" $(if $(VOLUME),--volume "$(VOLUME)") $(if $(PROMPTS),--prompts "$(PROMPTS)")

test: $(VENV)/.test lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .

benchmark: $(VENV)/.test
	$(BIN)/python Testing/benchmarks/run.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache SAMSegmenter/*.egg-info

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; name one with: make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet --no-build-isolation sam2
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable .[test]
	touch $@
