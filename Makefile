# Two commands do all the set-up: `make demo` runs the main job, `make test` passes the tests.
# Both make a virtual environment in $(VENV) and install the project into it as a wheel.

PYTHON ?= python3
VENV   ?= .venv

PIP     = $(VENV)/bin/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --quiet --constraint infra/constraints.txt
SOURCES = pyproject.toml infra/constraints.txt \
	$(shell find flexivideo pipeline jobs -type f -not -path '*/__pycache__/*')

.PHONY: demo test check clean

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

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/installed: $(SOURCES)
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	rm -rf build $(VENV)/wheel
	$(PIP) wheel --quiet --no-deps --wheel-dir $(VENV)/wheel .
	$(INSTALL) $(VENV)/wheel/*.whl
	$(INSTALL) --no-deps --force-reinstall $(VENV)/wheel/*.whl
	touch $@

$(VENV)/installed-for-tests: $(VENV)/installed
	$(INSTALL) "flexivideo[test,check] @ file://$(abspath $(firstword $(wildcard $(VENV)/wheel/*.whl)))"
	touch $@
