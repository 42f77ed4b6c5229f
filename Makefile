# make demo     segment a built-in phantom, or VOLUME=... PROMPTS=..., on a machine that has nothing but Python 3.10 or newer
# make test     install what the tests need, check the style and the types, run all tests
# make test-oldest   the library's tests with the oldest torch, hydra and omegaconf that are supported, in an environment of their own (7 GB)
# make test-setup    the module's set-up in a fresh environment without a compiler, and its self-test (6 GB; OPTIONS='--wheels FOLDER')
# make coverage all tests once more, counting the lines and branches that they reach: slower, and so no part of make test
# make docs     the pages of docs/ and the API as HTML in build/docs, warnings being errors
# make lint     the style and the types, without the tests
# make benchmark, make clean

# The first of these that is new enough; another one with: make PYTHON=...
PYTHON ?= $(shell for each in python3 python python3.13 python3.12 python3.11 python3.10 python3.14; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$each && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Another one: make demo VENV=.venv-other TORCH='torch==2.2.2 torchvision==0.17.2 numpy<2'
TORCH ?= torch torchvision
OLDEST := torch==2.2.2 torchvision==0.17.2 numpy<2 hydra-core==1.3.2 omegaconf==2.2.1 iopath==0.1.10
OUTPUT ?= demo
VOLUME ?=
PROMPTS ?=
OPTIONS ?=
EXTRA := test

# rf-sam-2 is sam2 as a wheel. What either asks for stands in pyproject.toml, but for a newer torch than it needs.
SAM2 := rf-sam-2>=1.0.3
SAM2_SOURCE := sam2>=1.1

.PHONY: demo test test-oldest test-setup lint coverage docs benchmark clean

demo: $(VENV)/.installed
	$(BIN)/samsegmenter demo --output "$(OUTPUT)" $(if $(VOLUME),--volume "$(VOLUME)") $(if $(PROMPTS),--prompts "$(PROMPTS)")

test: $(VENV)/.test lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

coverage: $(VENV)/.test
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

test-oldest:
	$(MAKE) VENV=.venv-oldest TORCH="$(OLDEST)" EXTRA=oldest .venv-oldest/.test
	.venv-oldest/bin/python -m pytest -W default Testing/library  # old packages warn of what newer ones have mended

test-setup:
	"$(PYTHON)" Testing/setup/fresh.py $(OPTIONS)

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -b html -W --keep-going docs build/docs

benchmark: $(VENV)/.test
	PYTHONPATH=Testing $(BIN)/python Testing/benchmarks/run.py $(OPTIONS)

clean:
	rm -rf $(VENV) .venv-oldest build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .coverage SAMSegmenter/*.egg-info

$(VENV)/.python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "Python 3.10 or newer is needed; name one with: make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) \
		|| { echo "No virtual environment could be made; on Debian and Ubuntu, first: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools wheel
	touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	printf '%s\n' $(foreach each,$(TORCH),"$(each)") > $(VENV)/torch.txt
	$(BIN)/python -m pip install --quiet --requirement $(VENV)/torch.txt
	$(BIN)/python -m pip install --quiet --no-deps "$(SAM2)" \
		|| { echo "There is no wheel of $(SAM2) to be had: sam2 is built from its sources instead." >&2; \
			SAM2_BUILD_CUDA=0 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation "$(SAM2_SOURCE)"; }
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/torch.txt --editable .
	touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/torch.txt --editable .[$(EXTRA)]
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-build-isolation --constraint $(VENV)/torch.txt --editable .[docs]
	touch $@
