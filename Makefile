PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
.PHONY: install install-test run test check gates fuzz bench soak eval samples clean enketo

install: $(VENV)/.installed  ## make .venv with the locked dependencies

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Silah needs Python 3.11 or newer: PYTHON=python3.12 make install"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing. On Debian: apt install python3-venv"; exit 1; }
	$(PIP) install -c requirements.lock -e .
	@touch $@

install-test: $(VENV)/.installed-test $(VENV)/.installed-node $(VENV)/.installed-kobo-pin

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) install -c requirements.lock -e '.[test]'
	@touch $@

# What cannot be fetched here is not the end: the tests that need it say so, with this command.
NODE_PACKAGES := tests/engines/node
$(VENV)/.installed-node: $(VENV)/.installed-test $(NODE_PACKAGES)/package-lock.json
	@$(BIN)/python -m tests.engines.node && touch $@ \
		|| echo "The form engines that run in Node could not be installed; their tests will fail." >&2

KOBO_PYXFORM := pyxform==3.0.0
$(VENV)/.installed-kobo-pin: $(VENV)/.installed Makefile  ## the converter that KoboToolbox runs, in an environment of its own
	@$(PYTHON) -m venv $(VENV)/kobo-pin && $(VENV)/kobo-pin/bin/pip --quiet --disable-pip-version-check install $(KOBO_PYXFORM) \
		&& touch $@ || echo "$(KOBO_PYXFORM) could not be installed; its tests will fail." >&2

run: install  ## serve silah.toml; without one, the sandbox
	@if [ -f "$${SILAH_CONFIG:-silah.toml}" ]; then exec $(BIN)/silah serve; else exec $(BIN)/silah sandbox; fi

check: install-test  ## everything that needs no running: lint, types, imports, forms, licences and known vulnerabilities
	$(BIN)/ruff check
	$(BIN)/ruff format --check --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/silah forms check
	$(BIN)/python -m tests.supply

test: check  ## all of it
	$(BIN)/pytest -n 2 --dist loadfile

enketo: install-test  ## every conversation of every form in Enketo, each in its language: ten minutes
	SILAH_TEST_ENKETO=all $(BIN)/pytest -q --durations=5 tests/engines/test_enketo.py

eval: install-test  ## names: recall at fixed false positives
	$(BIN)/python -m tests.evaluation.names

gates: install-test  ## take each gate out of a copy and see a test go red
	$(BIN)/python -m tests.gates.removal

fuzz: install-test  ## bytes that nobody foresaw, a minute for each place where they come in
	$(PIP) install -c requirements.lock -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --seconds $${SILAH_FUZZ_SECONDS:-60}

bench: install-test  ## the speed table of docs/performance.md, on both tiers
	$(BIN)/python -m tests.benchmarks.speed
	$(BIN)/python -m tests.benchmarks.overload

soak: install-test  ## 200 rounds of kill -9 under load; 1 000 referrals through outages, replays and wrong clocks
	SILAH_TEST_ROUNDS=200 $(BIN)/pytest -q -rP tests/flow/test_crashes.py
	$(BIN)/python -m tests.benchmarks.referral_soak

samples: install-test  ## fill the sandbox's requests in anew, with JavaRosa
	$(BIN)/python -m tests.samples

clean:
	rm -rf $(VENV) build dist *.egg-info
