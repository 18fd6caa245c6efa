# A thin front to CMake, pip, ctest and pytest. `make` alone lists the targets.
BUILD   ?= build
VENV    ?= .venv
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc)
MINUTES ?= 10
PY       = $(VENV)/bin/python
PIP      = $(PY) -m pip --disable-pip-version-check
CONFIGURE = cmake -G Ninja -S . -DPython_EXECUTABLE=$(abspath $(PY)) -DCMLX_WERROR=ON
PACKAGE_FILES = $(shell find python/mlx include packaging pyproject.toml -type f -not -name '*.pyc')
export CTEST_OUTPUT_ON_FAILURE = 1

.PHONY: help deps library build demo test test-asan test-tsan fuzz bench bench-deps count count-renew format symbols headers ops-page docs-check clean
help:
	@echo "deps        install what is missing: packages of the distribution, Python packages into $(VENV)"
	@echo "build       $(BUILD)/libcmlx.so, and the package mlx installed into $(VENV)"
	@echo "demo        train two real models on real data"
	@echo "test        build, then the tests of C and of Python (LONG=1: fuzzing for a minute a format, too)"
	@echo "test-asan   the same under address and undefined-behaviour sanitizers;  test-tsan: threads"
	@echo "fuzz        clang's fuzzer on everything that reads files, MINUTES (10) for each"
	@echo "bench       speeds against NumPy, PyTorch, JAX and MLX (bench-deps fetches them)"
	@echo "count       instructions of pieces of work against the stored ones (count-renew: store)"
	@echo "format      clang-format;  symbols: what the library exports;  docs-check: documents against code"
	@echo "headers     include/mlx/c/ops.h and its like from ops/functions.def;  ops-page: docs/ops.md, what works"

deps: $(VENV)/.deps
$(VENV)/.deps: packaging/requirements.txt packaging/requirements-alone.txt tools/deps.sh
	VENV=$(VENV) tools/deps.sh
	@touch $@

# One build folder for the C library and for the wheel: nothing is compiled twice.
build: library $(VENV)/.installed
library: deps
	@test -f $(BUILD)/build.ninja || $(CONFIGURE) -B $(BUILD) -DCMAKE_BUILD_TYPE=Release -DCMLX_TESTS=ON
	ninja -C $(BUILD) -j $(JOBS)
$(VENV)/.installed: $(BUILD)/libcmlx.so $(BUILD)/pkg/mlx/core.abi3.so $(PACKAGE_FILES) | library
	CMLX_TESTS=ON CMLX_WERROR=ON $(PIP) install --quiet --no-build-isolation --no-deps --force-reinstall \
	  --config-settings=build-dir=$(BUILD) .
	$(PIP) install --quiet --no-build-isolation --no-deps --force-reinstall ./packaging/mlx-meta
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null   # the wheel left its own
	@touch $@
$(BUILD)/libcmlx.so $(BUILD)/pkg/mlx/core.abi3.so: library ;

demo: build
	$(PY) examples/python/digits.py
	$(PY) examples/python/text.py

test: build
	ctest --test-dir $(BUILD) --parallel $(JOBS) --no-tests=error $(if $(LONG),,-LE slow)
	$(if $(LONG),CMLX_LONG=1) $(PY) -m pytest -q -n $(JOBS)

# The Python tests run on an unsanitized interpreter, so the runtime is preloaded and leaks are not counted.
test-asan: deps
	$(CONFIGURE) -B $(BUILD)/asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMLX_SANITIZE=address
	ninja -C $(BUILD)/asan -j $(JOBS)
	ctest --test-dir $(BUILD)/asan --parallel $(JOBS) $(if $(LONG),,-LE slow)
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so.6)" \
	  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(abspath $(BUILD)/asan/pkg) PYTHONMALLOC=malloc \
	  $(PY) -m pytest -q -x -m "not slow"
test-tsan: deps
	$(CONFIGURE) -B $(BUILD)/tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMLX_SANITIZE=thread
	ninja -C $(BUILD)/tsan -j $(JOBS)
	TSAN_OPTIONS=halt_on_error=1 ctest --test-dir $(BUILD)/tsan $(if $(LONG),,-LE slow)
fuzz: library
	WITH_CLANG=1 VENV=$(VENV) tools/deps.sh
	$(CONFIGURE) -B $(BUILD)/fuzzer -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMLX_SANITIZE=fuzzer -DCMLX_PYTHON=OFF
	ninja -C $(BUILD)/fuzzer -j $(JOBS)
	MINUTES=$(MINUTES) tools/fuzz.sh $(BUILD)

bench: build
	$(PY) bench/run.py
bench-deps: deps
	$(PY) bench/deps.py

# Instructions of pieces of work against bench/instructions.txt; count-renew writes it.
count count-renew: library
	WITH_VALGRIND=1 VENV=$(VENV) tools/deps.sh
	$(PY) bench/count.py --library $(BUILD)/libcmlx.so $(if $(filter count-renew,$@),--renew)

# The headers of functions that stand for operations are committed; a test compares them with the table.
headers:
	python3 tools/opgen.py --ops ops --out include/mlx/c headers
ops-page: build
	PYTHONPATH=tests/python $(PY) tests/python/support.py

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
symbols: library
	@tools/symbols.sh $(BUILD)/libcmlx.so
docs-check: build
	$(PY) tools/docs_check.py
clean:
	rm -rf $(BUILD)
