# The commands of the book. Each is a line or two that works by hand too: see the README.
VENV ?= .venv
PYTHON_IN_VENV = $(VENV)/bin/python
READY = $(VENV)/.ready
BACKENDS_READY = $(VENV)/.ready-backends
JUPYTER_BOOK = $(VENV)/bin/jupyter-book build chapters --path-output . --config _config.yml --toc "$(CURDIR)/_toc.yml"
export IPYTHONDIR = $(CURDIR)/.ipython
export AAREN_STATIC = 1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help book slides test test-package test-book test-backends mutants colab publish-colab test-colab lab bench linkcheck run run-all lint format dist lock clean
.DEFAULT_GOAL := help

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

book: $(READY) ## run the chapters that changed, build the HTML
	@rm -rf _build/html/index.html _build/html/_modules # Sphinx would keep pages of code as they are
	$(JUPYTER_BOOK) --all -W --keep-going -n
	@test -s _build/html/index.html || { echo "The build made no _build/html/index.html"; exit 1; }
	@echo "The book: file://$(CURDIR)/_build/html/index.html"
	@echo "Open it in a browser, or serve it: python3 -m http.server -d _build/html"

test: $(READY) ## package tests, every notebook compared with its outputs, the book in a browser
	$(PYTHON_IN_VENV) -m pytest -n 2 --dist loadscope --nbval tests chapters

test-package: $(READY) ## only the package, without browser and whole models: while you work on it
	$(PYTHON_IN_VENV) -m pytest -n 2 --dist worksteal -m "not slow and not browser" tests --ignore tests/test_book.py --ignore tests/test_colab.py --ignore tests/test_benchmarks.py

test-book: $(READY) ## only the browser tests
	$(PYTHON_IN_VENV) -m pytest tests/test_book.py

test-backends: $(BACKENDS_READY) ## the package's tests on JAX, then on PyTorch
	KERAS_BACKEND=jax $(PYTHON_IN_VENV) -m pytest -n 2 --dist worksteal tests -m backends
	KERAS_BACKEND=torch $(PYTHON_IN_VENV) -m pytest -n 2 --dist worksteal tests -m backends

mutants: $(BACKENDS_READY) ## change the package line by line and see which changes no test notices: tests/MUTANTS.md
	KERAS_BACKEND=torch OMP_NUM_THREADS=1 $(VENV)/bin/mutmut run --max-children 1 $(MUTANTS)

colab: $(READY) ## make the Colab edition of the chapters: _build/colab
	$(PYTHON_IN_VENV) -m book.colab

publish-colab: ## push _build/colab to the branch that the book's Colab buttons open
	book/publish_colab.sh

test-colab: $(READY) ## run the Colab edition of the last commit with Colab's versions
	$(PYTHON_IN_VENV) -m book.run_colab $(CHAPTER)

lab: $(READY) ## open the chapters in JupyterLab, their MyST rendered
	$(PYTHON_IN_VENV) -m jupyterlab --ServerApp.root_dir="$(CURDIR)/chapters" --LabApp.default_url=/lab/tree/01-start-here.ipynb

linkcheck: $(READY) ## check the links to other sites
	BOOK_OUTPUTS=committed $(JUPYTER_BOOK) --builder linkcheck

bench: $(READY) ## time and memory beside what one would use instead: benchmarks/README.md
	$(PYTHON_IN_VENV) -m benchmarks $(BENCH)

run: $(READY) ## run one chapter in place: make run CHAPTER=chapters/02-one-softmax.ipynb
	$(if $(wildcard $(CHAPTER)),,$(error Name a chapter: make run CHAPTER=chapters/02-one-softmax.ipynb))
	$(PYTHON_IN_VENV) -m book.run $(CHAPTER)

run-all: $(READY) ## run every chapter in place
	$(PYTHON_IN_VENV) -m book.run chapters/*.ipynb

slides: $(READY) ## make the slides of two lectures: _build/slides
	$(PYTHON_IN_VENV) -m book.slides

lint: $(READY) ## check the style of the code, its types, and the workflows
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m ruff format --check .
	$(PYTHON_IN_VENV) -m mypy
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/zizmor --offline --quiet .github

format: $(READY) ## mend the style of the code
	$(PYTHON_IN_VENV) -m ruff check --fix .
	$(PYTHON_IN_VENV) -m ruff format .

dist: $(READY) ## build the package and check it
	rm -rf dist
	$(PYTHON_IN_VENV) -m build
	$(PYTHON_IN_VENV) -m twine check --strict dist/*

# uv resolves once for every system and for Python 3.11 to 3.13; it lives in a folder that is thrown away
lock: ## renew the locked versions: requirements*.txt
	book/lock.sh

clean: ## remove what the commands made, but for the environment
	rm -rf _build mutants .pytest_cache .ruff_cache .hypothesis dist

# The script writes the stamp last; if it had to stop, its one line is make's error. A dry run makes nothing.
$(READY): requirements.txt pyproject.toml book/environment.sh
	@$(call or_stop,$(if $(findstring n,$(firstword -$(MAKEFLAGS))),,$(shell book/environment.sh $(VENV))))
	@test -e $@

$(BACKENDS_READY): $(READY) requirements-backends.txt
	$(PYTHON_IN_VENV) -m pip install --disable-pip-version-check -q -c requirements.txt -r requirements-backends.txt
	@touch $@

or_stop = $(if $(1),$(error $(1)))
