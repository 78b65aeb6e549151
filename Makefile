# The two commands:   make demo   make test
# The daily ones:     make lint types format native-lint native-test bench fuzz docs clean
# Before a release:   make test-slow test-nojit native-test-arm wheel test-wheel test-lowest licences faults
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

# What the installed package is built from; a change here installs again. A folder changes when a file in it goes.
SOURCES := pyproject.toml src/dissensus/_version.py $(shell find native)

# Wheels are the same bytes for the same sources: their times are that of the last commit.
export SOURCE_DATE_EPOCH ?= $(or $(shell git log -1 --format=%ct 2>/dev/null),1700000000)

.PHONY: help demo test test-slow test-nojit lint format types native-lint native-test native-test-arm bench fuzz docs \
        wheel test-wheel test-lowest licences faults clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 17

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dissensus needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[plot]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet 'dissensus[train,plot,stats,postgres,adapters,test,lint]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet 'dissensus[bench]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet 'dissensus[docs]'
	@touch $@

$(VENV)/.installed-pack: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group pack
	@touch $@

demo: $(VENV)/.installed ## Make .venv, install, and watch a committee learn one listener on music made on the spot
	$(BIN)/dissensus demo

test: $(VENV)/.installed-dev ## Make .venv, install, and run the tests (not the slow ones) and the examples of the docstrings
	$(BIN)/python -m pytest -n $(JOBS) --dist loadscope -m "not slow"

test-slow: $(VENV)/.installed-dev ## The long tests
	$(BIN)/python -m pytest -n $(JOBS) -m slow

# All but what meets no kernel of Numba's: the command line, files, networks. Marked `compiled`: what would take for ever.
NOJIT := tests --ignore=tests/cli --ignore=tests/docs --ignore=tests/packaging --ignore=tests/store --ignore=tests/catalog --ignore=tests/training --ignore-glob='tests/committee/test_cnn*' --ignore=tests/committee/members/test_cnn_head.py \
         --ignore-glob='tests/datasets/test_[dlt]*' \
         --ignore-glob='tests/features/test_audio*' --ignore-glob='tests/features/test_odd_audio*' --ignore=tests/features/test_ffmpeg.py --ignore=tests/fuzz --ignore=tests/features/test_extract.py \
         --ignore=tests/features/test_pool.py --ignore-glob='tests/test_[afir]*'

test-nojit: $(VENV)/.installed-dev ## The tests that meet a kernel, with the JIT off: what the Numba sources say, line by line
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not data and not compiled" $(NOJIT)

lint: $(VENV)/.installed-dev ## ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.installed-dev ## Put the sources into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(NATIVE)

types: $(VENV)/.installed-dev ## mypy --strict
	$(BIN)/mypy

# Every C++ file.
NATIVE = $(shell find native -name '*.[ch]pp')

native-lint: $(VENV)/.installed-dev ## clang-format, and clang-tidy as errors
	$(BIN)/clang-format --dry-run -Werror $(NATIVE)
	cmake -S native -B build/native-lint -DDISSENSUS_BUILD_TESTS=ON -DDISSENSUS_SANITIZE=OFF -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
	printf '%s\n' $(filter native/src/%.cpp native/tests/%.cpp,$(NATIVE)) | \
	  xargs -P $(JOBS) -n 1 $(BIN)/clang-tidy --quiet -p build/native-lint

native-test: ## The C++ tests under the address and undefined-behaviour sanitizers
	cmake -S native -B build/native-test -DDISSENSUS_BUILD_TESTS=ON -DCMAKE_BUILD_TYPE=Debug
	cmake --build build/native-test --parallel $(JOBS)
	ctest --test-dir build/native-test --output-on-failure

# Static, so that the emulator needs none of ARM's libraries.
ARM_CXX      ?= aarch64-linux-gnu-g++
ARM_EMULATOR ?= $(firstword $(shell command -v qemu-aarch64-static qemu-aarch64))
native-test-arm: ## The C++ tests as ARM runs them, optimised, under an emulator (minutes)
	@command -v $(ARM_CXX) >/dev/null || missing="the cross compiler $(ARM_CXX)"; \
	  [ -n "$(ARM_EMULATOR)" ] || missing="$${missing:+$$missing and }the emulator qemu-aarch64"; \
	  [ -z "$$missing" ] || { echo "native-test-arm needs $$missing:"; \
	    echo "  apt-get install g++-aarch64-linux-gnu qemu-user-static"; exit 1; }
	cmake -S native -B build/native-test-arm -DDISSENSUS_BUILD_TESTS=ON -DDISSENSUS_SANITIZE=OFF -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=$(ARM_CXX) \
	  -DCMAKE_EXE_LINKER_FLAGS=-static -DCMAKE_CROSSCOMPILING_EMULATOR=$(ARM_EMULATOR)
	cmake --build build/native-test-arm --parallel $(JOBS)
	ctest --test-dir build/native-test-arm --parallel $(JOBS) --output-on-failure

FUZZ_AUDIO ?= 100000
FUZZ_TABLES ?= 20000
fuzz: $(VENV)/.installed-dev ## Tables of users and mutated audio files, read by one process and watched by another: no crash, no hang, typed errors (minutes)
	$(BIN)/python tests/support/fuzz_tables.py --count $(FUZZ_TABLES)
	$(BIN)/python tests/support/fuzz_audio.py --count $(FUZZ_AUDIO)
	$(BIN)/python tests/support/fuzz_bundles.py --count 50000

bench: $(VENV)/.installed-bench ## Every benchmark beside its peer; writes the tables of docs/benchmarks.md
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only --benchmark-max-time=0.4 --benchmark-min-rounds=3 --benchmark-json=build/benchmarks.json -s -q -W default
	$(BIN)/python benchmarks/table.py build/benchmarks.json docs/benchmarks.md

docs: $(VENV)/.installed-docs ## Run every snippet of the documentation and build its site into build/site, warnings as errors
	$(BIN)/python -m pytest -q tests/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Built from the checkout as it lies, repaired for manylinux, its content checked, and built again from the source archive.
dist/.made: $(VENV)/.installed-pack $(SOURCES) .ci/wheel.py $(shell find src -name '*.py')
	$(BIN)/python .ci/wheel.py dist --again
	@touch $@

wheel: dist/.made ## A wheel for this Python in dist/: checked, and the same bytes when it is built again

test-wheel: dist/.made $(VENV)/.installed-dev ## The tests on the installed wheel, away from the sources
	$(BIN)/python .ci/suite.py --wheel dist/*.whl -- -n $(JOBS) --dist loadscope -m "not slow"

# The oldest versions that pyproject.toml declares. What meets a library is tested: members, files, features, tables, texts. That
# old libraries complain of the newer ones they stand on is no fault of ours.
LOWEST := tests/test_contracts.py tests/test_import.py tests/test_threads.py tests/cli/test_main.py tests/cli/test_evaluate.py \
          tests/committee tests/store tests/features/test_pool.py tests/features/test_audio.py tests/evaluation/outcome tests/evaluation/run \
          tests/datasets/test_table.py tests/strategies/test_disagreement.py tests/personalisation/test_session.py

test-lowest: dist/.made ## The tests that meet a library, on the oldest versions of all of them
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/lowest
	VIRTUAL_ENV=build/lowest $(BIN)/uv pip install --quiet --resolution lowest-direct -r pyproject.toml --extra plot --extra stats
	VIRTUAL_ENV=build/lowest $(BIN)/uv pip freeze > build/lowest.txt
	VIRTUAL_ENV=build/lowest $(BIN)/uv pip install --quiet --constraint build/lowest.txt -r pyproject.toml --extra test
	VIRTUAL_ENV=build/lowest $(BIN)/uv pip install --quiet --no-deps dist/*.whl
	$(BIN)/python .ci/suite.py --python build/lowest/bin/python -- -n $(JOBS) --dist loadscope -m "not slow" \
	  -W default::DeprecationWarning -W default::FutureWarning $(LOWEST)

licences: dist/.made ## The licences of all that an installation brings, and the list of it (CycloneDX) in build/
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/runtime
	VIRTUAL_ENV=build/runtime $(BIN)/uv pip install --quiet dist/*.whl
	$(BIN)/cyclonedx-py environment build/runtime/bin/python --output-reproducible -o build/sbom.cdx.json
	$(BIN)/python .ci/licences.py build/sbom.cdx.json build/runtime

SHIM := build/faults/shim.so
faults: $(VENV)/.installed-dev ## Kill, cut the power of, fill the disk of and crowd the store, both kinds, at every change (about 20 minutes)
	@mkdir -p $(dir $(SHIM)) && cc -shared -fPIC -O1 -o $(SHIM) tests/faults/shim.c -ldl
	LD_PRELOAD=$(CURDIR)/$(SHIM) $(BIN)/python tests/faults/store_under_faults.py cuts 2000
	LD_PRELOAD=$(CURDIR)/$(SHIM) $(BIN)/python tests/faults/store_under_faults.py kill 5
	LD_PRELOAD=$(CURDIR)/$(SHIM) $(BIN)/python tests/faults/store_under_faults.py full
	LD_PRELOAD=$(CURDIR)/$(SHIM) $(BIN)/python tests/faults/store_under_faults.py io
	$(BIN)/python tests/faults/postgres_under_faults.py 200
	$(BIN)/python tests/faults/many_writers.py sqlite
	$(BIN)/python tests/faults/many_writers.py postgresql

clean: ## Remove the environment and everything built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .benchmarks
