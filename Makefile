# What a developer runs. Every target sets up what it needs in .venv/ and .venvs/ and needs only
# make and Python 3.11 or newer; PYTHON chooses the interpreter: make test PYTHON=python3.12

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_NO_INPUT = 1

# Each in an environment of its own: their pins clash with each other and with the tap's.
PROGRAMS := meltano pgserver target-postgres target-jsonl target-csv target-stitch target-snowflake \
  target-postgres-s3 moto dbt
# Which loader runs on which Python: docs/loaders.md.
ifneq ($(filter $(VERSION),3.11 3.12),)
PROGRAMS += pipelinewise-target-postgres target-s3
endif
ifeq ($(VERSION),3.11)
PROGRAMS += target-duckdb target-bigquery
endif

# Set up anew when the interpreter changes: the version is part of the stamp's name.
READY := .ready-$(VERSION)
DEV := .venv/$(READY)
PROGRAM_STAMPS := $(PROGRAMS:%=.venvs/%/$(READY))

.PHONY: help
help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

.PHONY: python-version
python-version:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	  "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make … PYTHON=python3.11")'

.venv/.pinned-$(VERSION): requirements/dev.txt | python-version
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

$(DEV): .venv/.pinned-$(VERSION) pyproject.toml
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venvs/%/$(READY): requirements/%.txt | python-version
	$(PYTHON) -m venv --clear $(VENV_OPTIONS) .venvs/$*
	.venvs/$*/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# The pip of Python 3.11 before 3.11.8 does not find the hashes of packages that are wanted with an extra.
.venvs/target-bigquery/$(READY) .venvs/dbt/$(READY) .venvs/airflow/$(READY): VENV_OPTIONS := --upgrade-deps

.PHONY: dev
dev: $(DEV) ## Set up .venv/ for development

# From here on the demonstration counts how long it takes.
DEMO := DEMO_STARTED_AT=$(shell date +%s) .venvs/pgserver/bin/python -W 'ignore:XDG_RUNTIME_DIR is not set' -m demo

.PHONY: demo
demo: .venvs/meltano/$(READY) .venvs/pgserver/$(READY) ## Run the tap against a sandbox into PostgreSQL, build the models, and show what arrived
	@$(DEMO)

.PHONY: demo-sql
demo-sql: .venvs/pgserver/$(READY) ## Query the demo's database: make demo-sql SQL='select …', or without SQL a prompt
	@$(DEMO) sql $(if $(SQL),"$$SQL")
export SQL

PLUGIN := plugins/extractors/tap-zoho-campaigns-recipients

.PHONY: plugin
plugin: ## Write a definition for `meltano add --from-ref` that installs the tap from this clone
	sed -e '/^ *#/d' -e 's|^pip_url: .*|pip_url: "'"'$(CURDIR)'"'"|' $(PLUGIN).yml > $(PLUGIN).local.yml
	@echo 'meltano add tap-zoho-campaigns-recipients --from-ref "$(CURDIR)/$(PLUGIN).local.yml"'

.PHONY: programs
programs: $(PROGRAM_STAMPS) ## Set up the loaders and Meltano in .venvs/ (make --jobs=4 programs)

.PHONY: test
test: $(DEV) $(PROGRAM_STAMPS) ## Run every test that needs Python packages only (ARGS='-k word' for some)
	.venv/bin/python -m pytest --numprocesses=2 --dist=loadgroup --ignore=tests/stack --ignore=tests/cluster $(ARGS)

# What test-quick and test-oldest leave out: it is about other programs.
LOADED := loaders transform stack cluster

.PHONY: test-quick
test-quick: $(DEV) ## Run the tests that need no loader and no Meltano (ARGS='-k word' for some)
	.venv/bin/python -m pytest --numprocesses=2 --dist=loadgroup $(LOADED:%=--ignore=tests/%) $(ARGS)

# The package as it is built is another one's affair; and the SDK's own tests do not run in an SDK of
# then with pytest of today.
OLDEST_LEFT_OUT := $(LOADED) documents/test_packaging.py command_line/test_sdk_suite.py

STACK := dbt pgserver target-postgres meltano airflow

.PHONY: test-stack
test-stack: $(DEV) $(STACK:%=.venvs/%/$(READY)) ## Run the tests that need a browser (Chromium) or Airflow
	.venv/bin/python -m pytest tests/stack $(ARGS)

.PHONY: test-airflow
test-airflow: $(DEV) $(STACK:%=.venvs/%/$(READY)) ## Run twenty accounts on Airflow with Celery, two workers, Redis and PostgreSQL (a quarter of an hour)
	.venv/bin/python -m pytest tests/cluster $(ARGS)

.PHONY: page
page: .venvs/dbt/$(READY) ## Write a page from the models, of the database in DBT_… variables (OUTPUT=campaigns.html)
	.venvs/dbt/bin/python transform/page.py --output $(or $(OUTPUT),campaigns.html)

.PHONY: test-oldest
test-oldest: .venvs/oldest/$(READY) ## Run the tests with the oldest versions that pyproject.toml allows
	.venvs/oldest/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venvs/oldest/bin/python -m pytest --numprocesses=2 --dist=loadgroup \
	  $(OLDEST_LEFT_OUT:%=--ignore=tests/%) $(ARGS)

.PHONY: coverage
coverage: $(DEV) $(PROGRAM_STAMPS) ## Run every test and show which lines none of them reached
	.venv/bin/python -m coverage erase
	.venv/bin/python -m coverage run -m pytest --numprocesses=2 --dist=loadgroup --ignore=tests/stack --ignore=tests/cluster $(ARGS)
	.venv/bin/python -m coverage combine --quiet
	.venv/bin/python -m coverage report

SEEDS ?= 500

.PHONY: storm
storm: $(DEV) ## Run the tap through random faults, checked against a model (SEEDS=500, ARGS='--seed 17' for one)
	PYTHONPATH=tests .venv/bin/python -m support.storm $(SEEDS) $(ARGS)

HISTORIES ?= 500

.PHONY: histories
histories: $(DEV) ## Play months of an account, checked every night (HISTORIES=500, ARGS='--seed 17' for one)
	PYTHONPATH=tests .venv/bin/python -m support.history $(HISTORIES) $(ARGS)

ACCOUNTS ?= 1000

.PHONY: probe-privacy
probe-privacy: $(DEV) ## Probe accounts with planted values, and look for them in all that is written (ACCOUNTS=1000)
	PYTHONPATH=tests .venv/bin/python -m support.planted $(ACCOUNTS) $(ARGS)

SECONDS ?= 600

.PHONY: fuzz
fuzz: .venvs/fuzz/$(READY) ## Fuzz the parsers of JSON and XML (SECONDS=600; Linux)
	PYTHONPATH=tests .venvs/fuzz/bin/python -m support.fuzz $(SECONDS)

.PHONY: mutants
mutants: .venvs/mutants/$(READY) ## Change the code in many ways and show what no test notices (20 minutes)
	rm -rf mutants
	.venvs/mutants/bin/mutmut run
	.venvs/mutants/bin/mutmut results
	@.venvs/mutants/bin/mutmut results --all true | \
	  sed -E 's/^ *[a-z_]+\.([a-z]+)\..*: (.*)/\1.py \2/' | sort | uniq -c
	PYTHONPATH=tests .venvs/mutants/bin/python -m support.mutants

.PHONY: lint
lint: $(DEV) ## Check style and types
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m mypy

.PHONY: format
format: $(DEV) ## Mend what ruff can mend
	.venv/bin/python -m ruff check --fix
	.venv/bin/python -m ruff format

.PHONY: docs
docs: .venvs/docs/$(READY) ## Build the documentation into site/, strictly
	NO_MKDOCS_2_WARNING=1 .venvs/docs/bin/python -m mkdocs build --strict --quiet

.PHONY: docs-pages
docs-pages: $(DEV) ## Write the generated pages and pictures of docs/ again
	.venv/bin/python -m docs_build

.PHONY: docs-demo
docs-demo: $(DEV) ## Run the demo from nothing, and draw what it prints
	rm -rf .demo
	$(MAKE) --no-print-directory demo > .venvs/demo.txt
	.venv/bin/python -m docs_build.demo_picture < .venvs/demo.txt > docs/images/demo.txt
	$(MAKE) --no-print-directory docs-pages

.PHONY: bench
bench: $(DEV) .venvs/bench-dlt/$(READY) .venvs/bench-airbyte/$(READY) ## Measure the tap and its like (ARGS='--only rows' for a part)
	.venv/bin/python -m benchmarks $(ARGS)

.PHONY: dist
dist: .venvs/tools/$(READY) ## Build wheel and sdist into dist/, check them, and try each in an empty environment
	rm -rf dist
	.venvs/tools/bin/python -m build
	.venvs/tools/bin/python -m twine check --strict dist/*
	for file in dist/*; do \
	  echo "Trying $$file" && \
	  $(PYTHON) -m venv --clear .venvs/dist && \
	  .venvs/dist/bin/python -m pip install --quiet "$$file" && \
	  .venvs/dist/bin/tap-zoho-campaigns-recipients --discover > .venvs/dist/catalog.json && \
	  test "$$(grep -c '"tap_stream_id"' .venvs/dist/catalog.json)" = "$$(ls schemas/*.json | wc -l)" && \
	  .venvs/dist/bin/tap-zoho-campaigns-recipients-login --help > .venvs/dist/help.txt || exit 1; \
	done

.PHONY: audit
audit: .venvs/tools/$(READY) ## Look the pinned packages up among known vulnerabilities
	for pins in requirements/dev.txt requirements/tools.txt; do \
	  .venvs/tools/bin/python -m pip_audit --require-hashes --disable-pip --requirement $$pins || exit 1; \
	done

# Names, versions and hashes only: where packages come from is the reader's own affair.
COMPILE := .venvs/tools/bin/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --python-version 3.11

.PHONY: lock
lock: .venvs/tools/$(READY) ## Choose new versions for requirements/*.txt
	$(COMPILE) --universal --all-extras --group dev pyproject.toml --output-file requirements/dev.txt
	for name in meltano pgserver target-postgres target-jsonl target-csv target-stitch target-snowflake \
	  pipelinewise-target-postgres target-s3 target-bigquery target-postgres-s3 moto dbt airflow tools docs bench-dlt bench-airbyte; do \
	  $(COMPILE) --universal requirements/$$name.in --output-file requirements/$$name.txt || exit 1; \
	done
	$(COMPILE) --python-platform linux requirements/target-duckdb.in --output-file requirements/target-duckdb.txt
	$(COMPILE) --python-platform linux --resolution lowest-direct --all-extras pyproject.toml \
	  --output-file .venvs/tools/lowest.txt
	$(COMPILE) --python-platform linux --all-extras --group test --constraint .venvs/tools/lowest.txt pyproject.toml \
	  --output-file requirements/oldest.txt
	$(COMPILE) --python-platform linux --constraint requirements/dev.txt pyproject.toml requirements/fuzz.in \
	  --output-file requirements/fuzz.txt
	$(COMPILE) --universal --constraint requirements/dev.txt pyproject.toml requirements/mutants.in \
	  --output-file requirements/mutants.txt

.PHONY: clean
clean: ## Remove everything that the targets above made
	rm -rf .venv .venvs .demo .fuzz .meltano dist mutants site .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
