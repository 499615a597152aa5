# `make demo` and `make test` need Python 3.11 with pip, and nothing else that is not fetched here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
DEMO_OUT ?= demo-out

.DEFAULT_GOAL := help

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# pip is the last that a virtual environment gets: one without it is half made, and made anew.
$(VENV)/bin/pip:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not installed: apt install python3 python3-venv, or name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments here. On Debian and Ubuntu: apt install python3-venv; then the same again"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# Each lock is installed once, and again only when it changes. pip says what it is at: with a slow
# network this takes minutes.
$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing $$(grep -c == requirements.lock) packages into $(VENV); this takes a minute or two"
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "Installing what tests and checks need"
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/run.stamp ## Make the virtual environment with what running needs

install-scale: install ## What several machines need besides (NEWSLETTER_ENGINE=dbos)
	$(PIP) install --require-hashes -r requirements-scale.lock

demo: $(VENV)/run.stamp ## The whole job on the bundled sample day, into demo-out/
	@$(BIN)/newsletter demo --out $(DEMO_OUT)

# mypy takes one core; the tests take what is left.
test: $(VENV)/dev.stamp ## Lint, types, import contracts, and every test but the simulations
	@$(MAKE) --no-print-directory -j 2 lint pytest

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

pytest: $(VENV)/dev.stamp
	$(BIN)/pytest -n auto --dist worksteal --ignore=tests/simulations

# npm fetches what judges mails only for this; a machine without node or Chromium is told so.
HAS_BROWSER := command -v npm > /dev/null && command -v $${CHROMIUM:-chromium} > /dev/null \
  && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'

tests/render/gallery/email/node_modules: tests/render/gallery/email/package-lock.json
	npm ci --prefix tests/render/gallery/email --ignore-scripts --no-audit --no-fund --silent
	@touch $@

test-simulations: $(VENV)/dev.stamp ## Kill sweeps, a simulated week and year, memory: minutes
	$(BIN)/pytest -n auto --dist worksteal tests/simulations

check-wheel: $(VENV)/run.stamp ## Install the wheel in an empty environment and run the demo from it
	rm -rf build/wheel build/lib && $(PIP) wheel -q --no-deps --no-build-isolation -w build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install -q --disable-pip-version-check build/wheel/*.whl
	cd build/wheel && env -i HOME="$$PWD" PATH=/usr/bin:/bin venv/bin/newsletter demo --out demo-out

test-large: $(VENV)/dev.stamp ## The tests with thousands where `make test` takes hundreds
	NEWSLETTER_TEST_LARGE=1 $(BIN)/pytest -n auto --dist worksteal

check-email: $(VENV)/dev.stamp ## Every mail through axe, html-validate, caniemail and emailens
	@if ! { $(HAS_BROWSER); }; then \
	  echo "check-email is skipped: it needs node 20.19 or later, npm and chromium"; \
	else \
	  $(MAKE) -s tests/render/gallery/email/node_modules && rm -rf build/mails && \
	  $(BIN)/python -m tests.render.gallery.mails build/mails && node tests/render/gallery/email/check.mjs build/mails; \
	fi

check-mail-servers: $(VENV)/dev.stamp ## A day with a real Postfix, Exim and Dovecot on loopback (root, Debian)
	$(BIN)/pytest -rs --log-cli-level=INFO tests/mail_servers/check_day.py

gallery: $(VENV)/dev.stamp ## Every mail and page in every state on one page each, with pictures
	@$(BIN)/python -m tests.render.gallery.mails build/gallery
	@if $(HAS_BROWSER); then \
	  $(MAKE) -s tests/render/gallery/email/node_modules && node tests/render/gallery/email/shots.mjs build/gallery && \
	  $(BIN)/python -m tests.render.gallery.pages build/gallery/pages; \
	else echo "without pictures: they need node 20.19 or later, npm and chromium"; fi

bench-render: $(VENV)/dev.stamp ## MJML and premailer per mail against a fill and a copy
	@$(BIN)/python -m bench render

bench-tex: $(VENV)/dev.stamp ## What is left of TeX in real titles, names and abstracts, by kind
	@$(BIN)/python -m bench tex

bench-scoring: $(VENV)/dev.stamp ## Dollars, calls and time of a rubric's real day
	$(BIN)/python -m bench scoring

bench-mail: $(VENV)/dev.stamp ## How well mail that comes back is understood: PARTS="bounces replies"
	@$(BIN)/python -m bench mail $(PARTS)

bench-prior: $(VENV)/dev.stamp ## How well the reading order finds the picks
	$(BIN)/python -m bench triage

bench-deliver: $(VENV)/dev.stamp ## 100,000 deliveries against the loopback's own ceiling
	$(BIN)/python -m bench deliver

SIZES ?= 20x500
SETUPS ?= sqlite
PAPERS ?= 400
LATENCY ?= 0.2
bench-morning: $(VENV)/dev.stamp ## Whole mornings side by side: SIZES="20x500" SETUPS="sqlite postgresql dbos1 dbos2 dbos3"
	@$(BIN)/python -m bench daily_run --size $(SIZES) --on $(SETUPS) --papers $(PAPERS) --latency $(LATENCY)

bench-slopes: $(VENV)/dev.stamp ## What one more paper, rubric and reader costs
	@$(BIN)/python -m bench slopes

bench-peers: $(VENV)/dev.stamp ## Our delivery beside a plain loop over the vendor's client
	@$(BIN)/python -m bench peers

# These two, and bench-morning's other setups, need NEWSLETTER_TEST_DATABASE_URL.
bench-million: $(VENV)/dev.stamp ## Plans and times of a morning's statements over a million rows
	@$(BIN)/python -m bench million

bench-copy: $(VENV)/dev.stamp ## SQLite to PostgreSQL and back, each row compared
	@$(BIN)/python -m bench copying

bench-planning: $(VENV)/dev.stamp ## 100,000 deliveries planned, against a bulk insert of their rows
	$(BIN)/python -m bench planning

bench-memory: $(VENV)/dev.stamp ## What serve and a worker hold at 500, 5,000 and 50,000 readers
	@$(BIN)/python -m bench memory --on sqlite dbos

bench-zombie: $(VENV)/dev.stamp ## A worker is suspended for more than a minute, and wakes to nothing
	@$(BIN)/python -m tests.simulations.zombie

bench-posts: $(VENV)/dev.stamp ## Memory of serve while 50 strangers send 38 MB each to a hook
	@$(BIN)/python -m bench large_posts

bench-roster: $(VENV)/dev.stamp ## Import of ROWS subscribers, rehearsed and real: seconds, memory
	@$(BIN)/python -m bench import_subscribers --rows $(or $(ROWS),1000000)

simulate-year: $(VENV)/dev.stamp ## A year of mornings: every paper once, every reader in time
	$(BIN)/python -m tests.simulations.simulate_year

simulate-recorded: $(VENV)/dev.stamp ## What arXiv really announced, paper by paper: on its day, later, never
	$(BIN)/python -m tests.simulations.simulate_recorded

simulate-week: $(VENV)/dev.stamp ## A week in which the service is killed, suspended and its clock set
	$(BIN)/python -m tests.simulations.simulate_week --seeds 3

simulate-sleep: $(VENV)/dev.stamp ## A real serve is suspended for 70 s in the middle of its mail
	$(BIN)/python -m tests.simulations.simulate_sleep

bench-limits: $(VENV)/dev.stamp ## Three processes on one database: do they keep the limits together?
	$(BIN)/python -m bench limits

chaos: $(VENV)/dev.stamp ## Kill the sender 200 times over 2,000 deliveries, and count
	$(BIN)/python -m tests.simulations.chaos_sender

chaos-workers: $(VENV)/dev.stamp ## Kill three workers 200 times over a morning, then the local engine
	$(BIN)/python -m tests.simulations.chaos_workers
	$(BIN)/python -m tests.simulations.chaos_workers --engine local

bench-workers: $(VENV)/dev.stamp ## 20,000 readers with one worker and with two, at 200 ms a request
	$(BIN)/python -m bench workers

chaos-groups: $(VENV)/dev.stamp ## Kill the sender of groups over 60 requests, and count
	$(BIN)/python -m tests.simulations.chaos_batches
	$(BIN)/python -m tests.simulations.chaos_batches --bare

bench-groups: $(VENV)/dev.stamp ## 100,000 deliveries in groups against one by one
	$(BIN)/python -m bench batches

kill-scoring: $(VENV)/dev.stamp ## Kill the scorer 50 times over a day, and count
	$(BIN)/python -m tests.simulations.chaos_scoring --kills 50

# Cosmic Ray has packages of its own that nothing else needs, so it does not stand in the locks.
build/mutants/venv/bin/cosmic-ray: $(VENV)/dev.stamp
	$(PYTHON) -m venv --clear build/mutants/venv
	build/mutants/venv/bin/python -m pip install -q --disable-pip-version-check cosmic-ray==8.7.0

FAULTS ?= 15
SEED ?= 1
mutants: build/mutants/venv/bin/cosmic-ray ## How many small faults the tests notice: ONLY="newsletter/domain/send_times.py" FAULTS=15 SEED=1 SURVIVORS=1
	@build/mutants/venv/bin/python bench/mutants.py --python $(BIN)/python --faults $(FAULTS) --seed $(SEED) $(if $(ONLY),--only $(ONLY)) $(if $(SURVIVORS),--survivors)

docs-settings: $(VENV)/dev.stamp ## Write docs/settings.md from the settings themselves
	@$(BIN)/python -m tests.docs.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

picture: demo ## The README's picture, made from the demo by headless Chromium
	$(BIN)/python -m bench picture $(DEMO_OUT)/outbox docs/digest.png

lock: ## Pin the dependencies anew (needs pip-tools on the PATH)
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build -o requirements.lock pyproject.toml
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build --extra scale -o requirements-scale.lock pyproject.toml
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build --extra scale --extra dev -o requirements-dev.lock pyproject.toml

clean: ## Remove what make made
	rm -rf $(VENV) $(DEMO_OUT) build tests/render/gallery/email/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache

.PHONY: docs-settings check-wheel test-simulations check-mail-servers test-large bench-roster simulate-year help install install-scale demo test lint pytest check-email gallery bench-deliver bench-morning bench-slopes bench-peers bench-million bench-copy bench-planning chaos bench-render bench-mail bench-scoring bench-prior kill-scoring lock clean
