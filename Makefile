# `make demo` and `make test` need Python 3.11 or 3.12, git and make, and nothing else installed.
PYTHON ?= $(shell command -v python3.12 || command -v python3.11 || command -v python3)
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test lab lint smoke readme lock clean

demo: $(VENV)/installed  ## run the study at its default scale
	$(RUN) run_all.py

test: $(VENV)/installed  ## run the test suite
	$(RUN) -m pytest -n 2

lab: $(VENV)/installed  ## open JupyterLab on the notebooks
	$(VENV)/bin/jupyter lab --notebook-dir=notebooks

lint: $(VENV)/installed  ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

smoke: $(VENV)/installed  ## every step with a few iterations
	$(RUN) run_all.py --profile smoke

readme: $(VENV)/installed  ## put the results of the demo into the README
	$(RUN) -m lib.report.readme

# The file is written last, so an interrupted installation is taken up again.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v in [(3, 11), (3, 12)] else \
	  "Python 3.11 or 3.12 is needed, found %d.%d; name one: make PYTHON=python3.12 ..." % v)'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lock:  ## pin what pyproject.toml asks for (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock

clean:  ## remove caches (data sets, models); results stay
	rm -rf cache
