# make demo     segment a built-in phantom, or VOLUME=... PROMPTS=..., on a machine that has nothing but Python 3.10 or newer
# make test     install what the tests need, check the style, run all tests
# make benchmark, make lint, make clean

# The first of these that is new enough; another one with: make PYTHON=...
PYTHON ?= $(shell for each in python3 python python3.13 python3.12 python3.11 python3.10 python3.14; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
OUTPUT ?= demo
VOLUME ?=
PROMPTS ?=
OPTIONS ?=

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
	PYTHONPATH=Testing/library $(BIN)/python Testing/benchmarks/run.py $(OPTIONS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache SAMSegmenter/*.egg-info

$(VENV)/.python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "Python 3.10 or newer is needed; name one with: make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) \
		|| { echo "No virtual environment could be made; on Debian and Ubuntu, first: apt install python3-venv" >&2; exit 1; }
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
