# Two commands for a fresh machine: `make demo` and `make test`. Everything they need is made here, in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
SHELL  := /bin/bash

.PHONY: demo native test lint types check docs man gallery page wheels sanitize valgrind aarch64 clean help
.DEFAULT_GOAL := help

help:           ## list the commands
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: .*## /\t/' | expand -t 12

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "recurra needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The native engine is built when the package is installed, from these.
NATIVE := CMakeLists.txt $(wildcard native/*.h) $(wildcard native/*/*) $(wildcard src/recurra/cells/*.py) $(wildcard src/recurra/lower/*.py)

# Two stamps: a person who runs the demo waits neither for the test tools nor for the engine of three instruction sets
# (90 s of CPU). It compiles for this machine's best one, while pip installs the rest, and Python reads what it will run:
# of all that is installed a small part, which pip would compile whole.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) scikit-build-core nanobind
	$(PIP) --no-deps --no-build-isolation --config-settings=build-dir=build/demo \
	  --config-settings=cmake.define.RECURRA_ISAS=native -e . & engine=$$!; \
	$(BIN)/python packaging/requirements.py demo plot > $(VENV)/demo.txt && $(PIP) --no-compile -r $(VENV)/demo.txt && \
	  PYTHONDONTWRITEBYTECODE= PYTHONPATH=src $(BIN)/python -c 'import babel, matplotlib.pyplot, torch, recurra.api.demos, recurra.cli.program'; \
	found=$$?; wait $$engine && exit $$found
	@touch $@

# LIGHT=1 leaves Triton out, which takes 1 GB: its tests are skipped then.
comma := ,
DEV := $(VENV)/.dev$(if $(LIGHT),-light)
$(DEV): $(VENV)/.python pyproject.toml constraints.txt $(NATIVE)
	$(PIP) -e '.[test,lint$(if $(LIGHT),,$(comma)gpu)]'
	@touch $@ $(VENV)/.demo

# The site is made of the pages alone, so only what the extra names is installed, and not recurra with it.
DOCS = $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])'

$(VENV)/.docs: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $$($(DOCS))
	@touch $@

# passive: threads that wait for one another leave the core to others, where the machine is busy.
demo: $(VENV)/.demo  ## train a small model on real data, on the CPU, and show its report
	@OMP_WAIT_POLICY=passive $(BIN)/recurra demo

native: $(DEV) ## the native engine, and the tools of development

# passive: a thread of a test of several threads that waits for work takes no core from the tests beside it.
test: $(DEV)   ## all tests
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: $(DEV)   ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## static types
	$(BIN)/mypy

check: lint types test  ## what continuous integration runs

docs: $(VENV)/.docs  ## the documentation as a site in build/site, with every link and anchor checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

man: $(DEV)    ## the manual page, from the help of all commands: build/recurra.1
	@mkdir -p build
	$(BIN)/recurra man > build/recurra.1
	@echo "build/recurra.1: written. Read it with: man build/recurra.1"

# Debian: chromium
gallery: $(DEV) ## the pictures of docs/gallery: trains the demos (eight minutes), opens reports and the page in Chromium
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'playwright>=1.50'
	$(BIN)/python docs/make_gallery.py

page: $(DEV)   ## use the page of `recurra serve` in Chromium: make page RUNS="runs/demo-dates", pictures in runs/page/
	$(PIP) 'playwright>=1.50'
	$(BIN)/python benchmarks/page.py $(or $(RUNS),runs/demo-dates)

wheels: $(DEV) ## a wheel with the engine for Linux machines without a compiler, and the source archive: dist/
	$(PIP) -e '.[wheels]'
	$(BIN)/python packaging/make_wheel.py dist
	$(BIN)/python -m build --sdist -o dist .
	packaging/try_wheel.sh dist/recurra-*linux*.whl $(BIN)/python

sanitize:       ## the native engine under AddressSanitizer and UBSan: every cell on random shapes
	cmake -G Ninja -S . -B build/sanitize -DRECURRA_BATTERY=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
	  -DRECURRA_SANITIZE="-fsanitize=address,undefined;-fno-sanitize-recover=undefined" -DPython_EXECUTABLE=$$(command -v $(PYTHON))
	cmake --build build/sanitize -j $(JOBS)
	OMP_NUM_THREADS=3 ASAN_OPTIONS=detect_leaks=0 build/sanitize/battery $(or $(ROUNDS),20)

valgrind:       ## the same without the flags of sanitizers, on a simulated processor (which has no AVX-512)
	cmake -G Ninja -S . -B build/battery -DRECURRA_BATTERY=ON -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE=$$(command -v $(PYTHON))
	cmake --build build/battery -j $(JOBS)
	OMP_NUM_THREADS=2 valgrind -q --error-exitcode=1 build/battery/battery $(or $(ROUNDS),1)

# Debian: g++-aarch64-linux-gnu, qemu-user
aarch64:        ## the same for another processor (NEON): compiled across, and run under emulation
	mkdir -p build/aarch64
	PYTHONPATH=src $(PYTHON) -m recurra.lower.write_kernels build/aarch64/cells.inc
	aarch64-linux-gnu-g++ -O2 -std=c++20 -fopenmp -ffp-contract=fast -fno-math-errno -fno-trapping-math -Ibuild/aarch64 \
	  native/tests/battery.cpp native/recurrent/engine.cpp native/dense/linear.cpp native/checksum.cpp -o build/aarch64/battery
	OMP_NUM_THREADS=1 qemu-aarch64 -L /usr/aarch64-linux-gnu build/aarch64/battery $(or $(ROUNDS),2)

clean:          ## remove everything that was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis runs
