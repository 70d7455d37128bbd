# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
# Both make a virtual environment in $(VENV) and install the project into it as a wheel.

PYTHON ?= python3
VENV   ?= .venv

PIP     = $(VENV)/bin/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --quiet --constraint infra/constraints.txt
SOURCES = Makefile README.md LICENSE pyproject.toml infra/constraints.txt \
	$(shell find flexivideo pipeline jobs -type f -not -path '*/__pycache__/*' | LC_ALL=C sort)

.PHONY: demo test check chaos fuzz clean FORCE

demo: $(VENV)/installed
	$(VENV)/bin/flexivideo demo

# pytest as a script, not as a module: the tests see the installed wheel, not the working tree.
test: $(VENV)/installed-for-tests
	$(VENV)/bin/pytest

check: $(VENV)/installed-for-tests
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/check-wheel-contents --toplevel flexivideo,jobs,pipeline $(VENV)/wheel/*.whl

# Minutes: everything that can break, a hundred times. N_FAULTS and SEED choose others.
N_FAULTS ?= 100
SEED     ?= 1
chaos: $(VENV)/installed-for-tests
	$(VENV)/bin/python tests/chaos.py --n-faults $(N_FAULTS) --seed $(SEED)

# A minute: files broken at random, through the decode stage. N_FILES and SEED choose others.
N_FILES ?= 2000
fuzz: $(VENV)/installed-for-tests
	$(VENV)/bin/python tests/fuzz.py --n-files $(N_FILES) --seed $(SEED)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# The names of all sources, so that one that is gone or renamed is noticed too.
$(VENV)/sources: FORCE
	@mkdir -p $(VENV)
	@echo $(SOURCES) | cmp -s - $@ || echo $(SOURCES) > $@

# Built with what is pinned and installed, so an edit needs no package index.
$(VENV)/installed: $(SOURCES) $(VENV)/sources
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) setuptools
	rm -rf build $(VENV)/wheel
	$(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir $(VENV)/wheel .
	rm -rf build *.egg-info
	$(INSTALL) $(VENV)/wheel/*.whl
	$(INSTALL) --no-deps --force-reinstall $(VENV)/wheel/*.whl
	touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(INSTALL) "$(firstword $(wildcard $(VENV)/wheel/*.whl))[test,check]"
	touch $@
