# Everything here works on a machine with Python 3.11 or later and make.

VENV := .venv
BIN := $(VENV)/bin
# The Python of .venv, or the first that is new enough; make PYTHON=python3.13 makes .venv again with that one.
PYTHON ?= $(shell for python in $(BIN)/python python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
INSTALLED := $(VENV)/.installed-$(VERSION)
RUN := $(BIN)/python -m
# For demo and dev, for example: make demo ARGS=--exit
ARGS ?=
# For chaos: how many rounds, how many random histories of lost replies, and the first one's seed (random if empty).
ROUNDS ?= 20
HISTORIES ?= 2000
SEED ?=
# For fuzz: the formats, and how many files of each.
FORMATS ?= csv tsv txt jsonl json yaml xlsx parquet feather mp4
FILES ?= 10000
# For acceptance: a file of 946 prompts, which is not part of this repository; without it their test is skipped.
PROMPTS ?= ../shared/data/vbench_prompts.jsonl

# Each test process would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Files of tests lie in memory where there is plenty: no test cuts the power, so waiting for a disk proves nothing.
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000000 {print "/dev/shm"}')
export PYTEST_DEBUG_TEMPROOT ?= $(MEMORY)

.DEFAULT_GOAL := help
.PHONY: help install demo dev test test-further test-all test-browser coverage chaos fuzz acceptance lint docs bench schemas constraints clean

help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it

demo: $(INSTALLED) ## Render a dozen prompts on this machine, no account needed (ARGS=--exit stops at its end)
	@$(BIN)/seedance-dagster demo $(ARGS)

dev: $(INSTALLED) ## Run Dagster on your own prompt sets, everything kept in .seedance/
	@$(BIN)/seedance-dagster dev $(ARGS)

test: $(INSTALLED) ## Run the tests, without further cases of what they cover
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder -m 'not long and not further'

test-further: $(INSTALLED) ## Run the further cases that `make test` leaves out
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder -m 'further and not long'

test-all: $(INSTALLED) ## Run all tests, also those that take long
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder

test-browser: $(INSTALLED) ## Run the tests of the gallery in a real Chromium (on Debian: apt-get install chromium)
	@$(RUN) pip install -q --disable-pip-version-check -c constraints.txt --group browser
	$(RUN) pytest tests/browser

coverage: $(INSTALLED) ## Run all tests and check the branch coverage of what handles money; twice as long
	$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=
	$(RUN) coverage report --fail-under=95

# On many machines: PYTHONPATH=tests .venv/bin/python -m chaos --cluster 200
chaos: $(INSTALLED) ## Run random rounds of the fault suite (ROUNDS=200 SEED=1)
	@PYTHONPATH=tests $(RUN) chaos --rounds $(ROUNDS) --histories $(HISTORIES) $(if $(SEED),--seed $(SEED))

fuzz: $(INSTALLED) ## Damage prompt files and videos by the thousand (FORMATS=csv FILES=100 SEED=2)
	@status=0; for format in $(FORMATS); do PYTHONPATH=tests $(RUN) fuzz --format $$format --files $(FILES) \
		--seed $(or $(SEED),1) $(if $(wildcard $(PROMPTS)),--prompts $(PROMPTS)) || status=1; done; exit $$status

acceptance: $(INSTALLED) ## Run whole backfills through `dagster dev`, about 20 minutes (PROMPTS=vbench_prompts.jsonl)
	@$(RUN) pip install -q --disable-pip-version-check -c constraints.txt --group browser
	@ACCEPTANCE_PROMPTS='$(abspath $(PROMPTS))' $(RUN) pytest tests/acceptance --timeout 1800

lint: $(INSTALLED) ## Check format, style, types and the direction of imports
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	@$(BIN)/lint-imports --no-logo

docs: $(INSTALLED) ## Build the documentation into build/docs; a warning or a dead link fails
	$(RUN) sphinx -EaW --keep-going -n -q -b html docs build/docs
	@echo 'Open build/docs/index.html'

bench: $(INSTALLED) ## Run the benchmarks
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

schemas: $(INSTALLED) ## Write docs/schemas from the models again
	@$(RUN) seedance_dagster.storage.manifest > docs/schemas/manifest-v1.json

constraints: $(INSTALLED) ## Write constraints.txt from what is in .venv
	@{ echo '# The versions this project is tested with: pip install -c constraints.txt ...'; \
	$(RUN) pip freeze --all --exclude-editable --exclude setuptools | grep '^[A-Za-z0-9._-]*==[^ ]*$$'; } > constraints.new
	@mv constraints.new constraints.txt && touch $(INSTALLED)

clean: ## Remove caches and builds; keeps .venv and .seedance with its ledger
	rm -rf build dist *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is needed; name one with make PYTHON=...'; exit 1; }
	@test -x $(BIN)/python$(VERSION) || $(PYTHON) -m venv --clear $(VENV) || { \
		echo 'On Debian and Ubuntu, venv is in the package python3-venv.'; exit 1; }
	@echo 'Installing into $(VENV); this takes a minute or two ...'
	@$(RUN) pip install -q --disable-pip-version-check -c constraints.txt pip
	@rm -f $@
	@{ PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore $(RUN) pip install --no-compile -c constraints.txt \
		--group dev --group docs -e '.[c2pa,celery,demo,deploy,excel,gallery,parquet,postgres,scores]' && touch $@; } | \
		while read -r line; do case $$line in \
			Collecting*) packages=$$((packages + 1)); printf '\r  %d packages' $$packages;; \
			'Installing collected'*) echo ' found, unpacking ...';; \
		esac; done
	@test -e $@
	@$(RUN) compileall -qq -j 0 $(VENV)/lib seedance_dagster || true  # some packages ship files for other Pythons
	@touch $@
