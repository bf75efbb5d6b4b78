# `make demo` and `make test` need Python 3.11 or 3.12, git and make. A C compiler, if there is none, is
# installed as a package (413 MB).
SUPPORTED := import sys; sys.exit(sys.version_info[:2] not in [(3, 11), (3, 12)])
# A name may be there and not run, as the shims of version managers do: the first that runs counts.
PYTHON ?= $(shell for p in python3.12 python3.11 python3 python; do \
  $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
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
	git ls-files '*.c' | xargs $(VENV)/bin/clang-format --dry-run -Werror
	$(VENV)/bin/mypy

smoke: $(VENV)/installed  ## every step with a few iterations
	$(RUN) run_all.py --profile smoke

readme: $(VENV)/installed  ## put the results of the demo into the README
	$(RUN) -m lib.pages.readme

# The file is written last, so an interrupted installation is taken up again.
$(VENV)/installed: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' 2>/dev/null || { \
	  echo "Python 3.11 or 3.12 is needed, none was found; name one: make PYTHON=PATH ..." >&2; \
	  exit 1; }
	$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo 'int one(void) { return 1; }' | $(CC) -x c -shared -fPIC -o $(VENV)/tried.so - 2>/dev/null || \
	  $(RUN) -m pip install --quiet --disable-pip-version-check 'ziglang>=0.13'
	@rm -f $(VENV)/tried.so
	touch $@

lock:  ## pin what pyproject.toml asks for (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock

clean:  ## remove caches (data sets, models); results stay
	rm -rf cache
