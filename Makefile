# Everything that can be done here. `make` alone prints it; each target sets up what it needs.
# The same steps as plain Python commands stand in CONTRIBUTING.md.

PYTHON ?= python3
# Where nobody chose, an old python3 is no reason to give up; a choice is respected or refused.
CANDIDATES := $(if $(filter file,$(origin PYTHON)),$(PYTHON) python3.12 python3.11,"$(PYTHON)")
VENV   ?= .venv
FOLDER ?=
SEED   ?=
SEEDS  ?= 20000
BIN    := $(VENV)/bin
# Python compiles what it imports; compiling everything at once would double the time of the set-up.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet install --no-compile

# Workers are started by the hundred; one that may not keep what it compiled takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

RUN_DEMO  = $(BIN)/holdfast demo $(if $(FOLDER),"$(FOLDER)")
# Three at a time: most tests wait for servers. A file stays together, so its fixtures are made once.
RUN_TESTS = $(BIN)/pytest -n 3 --dist loadfile

# What pip brings for running, and what it brings for testing and checking (a superset).
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop

.DEFAULT_GOAL := help
.PHONY: help run test test-all fuzz outages simulate mutants chaos chaos-quick check bench bench-queues bench-quick \
  bench-resilience simulate-outage lock clean

help:  ## print this list
	@echo "Holdfast: async jobs that are not lost, on Celery."
	@echo
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo
	@echo "Options: PYTHON=python3.12 (makes the environment), FOLDER=path (for make run), SEEDS=number (for make simulate)"

run: $(RUN_READY)  ## summarise FOLDER's documents as real jobs on an embedded platform
	$(RUN_DEMO)

test: $(DEV_READY)  ## run the tests that need only what pip brings; name what was left out
	$(RUN_TESTS)

test-all: $(DEV_READY)  ## run every test; needs RabbitMQ, PgBouncer and Chromium, and a skip is a failure
	HOLDFAST_REQUIRE_ALL=1 $(RUN_TESTS)

fuzz: $(DEV_READY)  ## send 10,000 strange messages through Redis, 1,000 through RabbitMQ; SEED=n repeats a run
	FUZZ_SEED="$(SEED)" $(BIN)/pytest -s -m "(slow or hunt) and (rabbitmq or not rabbitmq)" tests/integration/workers/test_fuzz.py

outages: $(DEV_READY)  ## break real servers for longer, and roll a deploy; needs RabbitMQ, some minutes
	$(BIN)/pytest -m "outage and (slow or not slow) and (rabbitmq or not rabbitmq)" tests/integration/workers \
	  tests/integration/resilience --deselect tests/integration/resilience/test_scenarios.py

simulate: $(DEV_READY)  ## play SEEDS stories of crashes against the protocol; resumes; one to three hours on two cores
	$(BIN)/python -m holdfast.tests.simulation.hunt --seeds $(SEEDS) --record benchmarks/results/simulation.json
	$(BIN)/pytest -m hunt tests/simulation

mutants: $(DEV_READY)  ## take the breaker's rules out of a copy, one by one; each time a test has to fail; some minutes
	$(BIN)/pytest -m "outage and slow" tests/integration/resilience/test_scenarios.py

chaos: $(DEV_READY)  ## break workers, servers, networks and clocks three times each; resumes; about half an hour
	$(BIN)/python -m holdfast.tests.chaos --repetitions 3

chaos-quick: $(DEV_READY)  ## the same, once each, in at most 12 minutes
	$(BIN)/python -m holdfast.tests.chaos --repetitions 1

check: $(DEV_READY) .types/holdfast  ## format, lint, strict types, import contracts, docstring coverage
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p holdfast
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/interrogate $(PUBLIC_PACKAGES)

bench: $(DEV_READY)  ## run the benchmarks, bare Celery beside Holdfast
	@set -e; for script in benchmarks/bench_*.py; do \
	  test -e "$$script" || { echo "benchmarks/ holds no bench_*.py yet" >&2; exit 1; }; \
	  echo "== $$script"; $(BIN)/python "$$script"; done

bench-queues: $(DEV_READY) $(VENV)/peers  ## workloads W1 to W7, bare Celery and Huey beside us, three rounds; about half an hour
	PYTHONPATH=benchmarks $(BIN)/python -m lab --json benchmarks/results/queues.json --picture docs/pictures/queues.svg

bench-quick: $(DEV_READY) $(VENV)/peers  ## the same in small, one round of what people ask for first; under two minutes
	PYTHONPATH=benchmarks $(BIN)/python -m lab --quick --rounds 1 --only W1 W2 W3 --sides postgres celery huey

bench-resilience: $(DEV_READY) $(VENV)/peers  ## what a guarded call costs, other breakers beside it; about 5 minutes
	PYTHONPATH=benchmarks $(BIN)/python benchmarks/bench_resilience.py --json benchmarks/results/bench_resilience.json

simulate-outage: $(DEV_READY)  ## an upstream falls and comes back, in a model: our breaker and ramp, others beside; 7 minutes
	$(BIN)/python benchmarks/simulate_outage.py --json benchmarks/results/simulate_outage.json \
	  --picture docs/pictures/outage.svg

lock: $(DEV_READY)  ## pin all requirements anew, with the hashes of every file of each release
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Lock with the oldest Python that we support: make clean lock PYTHON=python3.11" >&2; exit 1; }
	$(COMPILE) --extra local --extra pdf --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements.lock --all-extras --output-file requirements-dev.lock pyproject.toml

clean:  ## remove what the other targets made, the environment included
	rm -rf $(VENV) .types build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	rm -rf .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

PUBLIC_PACKAGES = $(wildcard __init__.py celeryconfig.py jobs ledger resilience settings health tasks \
  workers monitoring gateway testing cli)

# Neither the machine's pip settings nor an address may find its way into a lock.
COMPILE = env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL PIP_CONFIG_FILE=/dev/null $(BIN)/pip-compile \
  --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --all-build-deps --no-annotate --no-header \
  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options --newline=lf

$(VENV)/bin/python:
	@set -e; for candidate in $(CANDIDATES); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$candidate" --version)"; \
	    "$$candidate" -m venv "$(VENV)" && exit 0; \
	    echo "It has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; \
	    rm -rf "$(VENV)"; exit 1; \
	  fi; \
	done; \
	echo "Holdfast needs Python 3.11 or newer; '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1 || true)." >&2; \
	echo "Name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1

$(RUN_READY): requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what running needs (once, about 15 seconds)"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what testing needs (once, about 30 seconds)"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(RUN_READY) $@

# Other breakers and queues, for benchmarks alone: none of our programs ever sees them.
$(VENV)/peers: benchmarks/peers.lock $(DEV_READY)
	@$(INSTALL) --require-hashes --target $@ -r benchmarks/peers.lock
	@touch $@

# The type checkers see the repository under the name of its package through this link.
.types/holdfast:
	@mkdir -p .types && ln -sfn .. $@
