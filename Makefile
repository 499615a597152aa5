# Requirements of `make demo` and `make test`: Python 3.11 with pip. Everything else is downloaded.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A slow network may fail for a moment.
PATIENT := --retries 10 --timeout 60
PIP := $(BIN)/python -m pip --disable-pip-version-check $(PATIENT)
DEMO_OUT ?= demo-out

.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

# venv installs pip last: an environment without pip is incomplete and is created again.
$(VENV)/bin/pip:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not installed: apt install python3 python3-venv, or name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null || { echo "$(PYTHON) cannot make virtual environments here. On Debian and Ubuntu: apt install python3-venv; then the same again"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)

# pip would compile every module. The service uses neither the tests of the packages nor other
# databases: without their compiled files, and without setuptools, which builds the package and is
# never imported, the environment is 30 MB smaller.
NOT_COMPILED := /(tests|testing|pip|setuptools|lexers|f2py|mysql|oracle|mssql)/

# Each lock file is installed once, and again when it changes. pip shows its progress: with a slow
# network this takes minutes.
$(VENV)/run.stamp: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing $$(grep -c == requirements.lock) packages into $(VENV); this takes a minute or two"
	$(PIP) install --no-compile --require-hashes -r requirements.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	$(PIP) uninstall -q -y setuptools
	$(BIN)/python -m compileall -q -j 0 -x '$(NOT_COMPILED)' $(VENV)/lib
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "Installing what tests and checks need"
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

install: $(VENV)/run.stamp ## Create the virtual environment with the packages that running needs

install-scale: install ## Install DBOS too, for several machines (NEWSLETTER_ENGINE=dbos)
	$(PIP) install --require-hashes -r requirements-scale.lock

demo: $(VENV)/run.stamp ## Run the bundled sample day; writes to demo-out/
	@$(BIN)/newsletter demo --out $(DEMO_OUT)

# lint and tests run in parallel: mypy uses one core, the tests the rest.
test: $(VENV)/dev.stamp ## Lint, types, import contracts, and all tests except the simulations
	@$(MAKE) --no-print-directory -j 2 lint pytest

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# Compiled files are kept, whatever the environment says: compiling the tests takes 3 s.
unexport PYTHONDONTWRITEBYTECODE

pytest: $(VENV)/dev.stamp
	$(BIN)/pytest -n auto --dist worksteal --ignore=tests/simulations

# The email checks need npm packages and a browser; they are skipped with a message otherwise.
HAS_BROWSER := command -v npm > /dev/null && command -v $${CHROMIUM:-chromium} > /dev/null \
  && node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)'

# npm writes this file last: without it the modules are incomplete and are installed again.
NODE_MODULES := tests/render/gallery/email/node_modules/.package-lock.json

$(NODE_MODULES): tests/render/gallery/email/package-lock.json
	for try in 1 2 3; do \
	  npm ci --prefix tests/render/gallery/email --ignore-scripts --no-audit --no-fund --silent \
	    --fetch-retries 5 --fetch-timeout 120000 && break; \
	  [ $$try -lt 3 ] || exit 1; echo "npm ci failed; it is tried again"; sleep 5; \
	done
	@touch $@

test-simulations: $(VENV)/dev.stamp ## Simulations: kill sweeps, a simulated week and year, memory (takes minutes)
	$(BIN)/pytest -n auto --dist worksteal tests/simulations

check-wheel: $(VENV)/dev.stamp ## Install the wheel in an empty environment and run the demo from it
	rm -rf build/wheel build/lib && $(PIP) wheel -q --no-deps --no-build-isolation -w build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install -q --disable-pip-version-check $(PATIENT) build/wheel/*.whl
	cd build/wheel && env -i HOME="$$PWD" PATH=/usr/bin:/bin venv/bin/newsletter demo --out demo-out

test-large: $(VENV)/dev.stamp ## All tests, with thousands of items where `make test` uses hundreds
	NEWSLETTER_TEST_LARGE=1 $(BIN)/pytest -n auto --dist worksteal

check-email: $(VENV)/dev.stamp ## Check every email with axe, html-validate, caniemail and emailens
	@if ! { $(HAS_BROWSER); }; then \
	  echo "check-email is skipped: it needs node 20.19 or later, npm and chromium"; \
	else \
	  $(MAKE) -s $(NODE_MODULES) && rm -rf build/mails && \
	  $(BIN)/python -m tests.render.gallery.mails build/mails && node tests/render/gallery/email/check.mjs build/mails; \
	fi

check-mail-servers: $(VENV)/dev.stamp ## Run a day with real Postfix, Exim and Dovecot on loopback (root, Debian)
	$(BIN)/pytest -rs --log-cli-level=INFO tests/mail_servers/check_day.py

gallery: $(VENV)/dev.stamp ## Build an overview of every email and page in every state, with screenshots
	@$(BIN)/python -m tests.render.gallery.mails build/gallery
	@if $(HAS_BROWSER); then \
	  $(MAKE) -s $(NODE_MODULES) && node tests/render/gallery/email/shots.mjs build/gallery && \
	  $(BIN)/python -m tests.render.gallery.pages build/gallery/pages; \
	else echo "without pictures: they need node 20.19 or later, npm and chromium"; fi

bench-render: $(VENV)/dev.stamp ## Compile MJML for each email, compared with filling a compiled template
	@$(BIN)/python -m bench render

bench-tex: $(VENV)/dev.stamp ## Count TeX left in real titles, names and abstracts, by kind
	@$(BIN)/python -m bench tex

bench-scoring: $(VENV)/dev.stamp ## Cost, calls and time to score a real day of one rubric
	$(BIN)/python -m bench scoring

bench-mail: $(VENV)/dev.stamp ## Accuracy of the bounce and reply parsers: PARTS="bounces replies"
	@$(BIN)/python -m bench mail $(PARTS)

bench-triage: $(VENV)/dev.stamp ## How early the reading order puts the picks: without scores, after days of scores, after an edit
	$(BIN)/python -m bench triage

bench-deliver: $(VENV)/dev.stamp ## Send 100,000 deliveries over TLS, in batches and one by one
	$(BIN)/python -m bench deliver

SIZES ?= 20x500
SETUPS ?= sqlite
PAPERS ?= 400
LATENCY ?= 0.2
bench-daily-run: $(VENV)/dev.stamp ## Compare whole daily runs: SIZES="20x500" SETUPS="sqlite postgresql dbos1 dbos2 dbos3"
	@$(BIN)/python -m bench daily_run --size $(SIZES) --on $(SETUPS) --papers $(PAPERS) --latency $(LATENCY)

bench-slopes: $(VENV)/dev.stamp ## Cost of one more paper, rubric and reader
	@$(BIN)/python -m bench slopes

bench-peers: $(VENV)/dev.stamp ## Mail over TLS compared with plain loops over the vendor's client and smtplib
	@$(BIN)/python -m bench peers

bench-rivals: $(VENV)/dev.stamp ## Other programs over the same day: RIVALS="--arxivdigest FOLDER PYTHON"
	@$(BIN)/python -m bench rivals $(RIVALS)

# The next two, and the other setups of bench-daily-run, need NEWSLETTER_TEST_DATABASE_URL.
bench-million: $(VENV)/dev.stamp ## Query plans and times of a daily run over a million rows
	@$(BIN)/python -m bench million

bench-history: $(VENV)/dev.stamp ## Commands and pages over a year of history; FILE=year.db keeps the database
	@$(BIN)/python -m bench history $(if $(FILE),--file $(FILE))

bench-goals: $(VENV)/dev.stamp ## Each goal of issue 16: before, now, met or missed; about 5 minutes. ONLY="morning year" YEAR=year.db
	@$(BIN)/python -m bench goals $(if $(ONLY),--only $(ONLY)) $(if $(YEAR),--year $(YEAR))

bench-copy: $(VENV)/dev.stamp ## Copy SQLite to PostgreSQL and back, and compare every row
	@$(BIN)/python -m bench copying

bench-planning: $(VENV)/dev.stamp ## Plan 100,000 deliveries, compared with a bulk insert of their rows
	$(BIN)/python -m bench planning

bench-memory: $(VENV)/dev.stamp ## Memory of serve and a worker with 500, 5,000 and 50,000 readers
	@$(BIN)/python -m bench memory --on sqlite dbos

bench-zombie: $(VENV)/dev.stamp ## Suspend a worker for over a minute; when it resumes, its writes are refused
	@$(BIN)/python -m tests.simulations.zombie

bench-posts: $(VENV)/dev.stamp ## Memory of serve while 50 clients post 38 MB each to a webhook
	@$(BIN)/python -m bench large_posts

bench-import: $(VENV)/dev.stamp ## Import ROWS subscribers, as a dry run and for real: time and memory
	@$(BIN)/python -m bench import_subscribers --rows $(or $(ROWS),1000000)

simulate-year: $(VENV)/dev.stamp ## Simulate a year of daily runs: every paper once, every email on time
	$(BIN)/python -m tests.simulations.simulate_year

simulate-recorded: $(VENV)/dev.stamp ## Replay recorded arXiv announcements: which papers came on time, late, never
	$(BIN)/python -m tests.simulations.simulate_recorded

simulate-week: $(VENV)/dev.stamp ## Simulate a week with kills, suspensions and clock changes
	$(BIN)/python -m tests.simulations.simulate_week --seeds 3

simulate-sleep: $(VENV)/dev.stamp ## Suspend a real serve for 70 s while it sends
	$(BIN)/python -m tests.simulations.simulate_sleep

bench-limits: $(VENV)/dev.stamp ## Check that three processes on one database share the rate limits
	$(BIN)/python -m bench limits

chaos: $(VENV)/dev.stamp ## Kill the sender 200 times over 2,000 deliveries and account for each
	$(BIN)/python -m tests.simulations.chaos_sender

chaos-workers: $(VENV)/dev.stamp ## Kill three workers 200 times, restart PostgreSQL, cut one off; then the local engine
	$(BIN)/python -m tests.simulations.chaos_workers --server --slow --lease 600 --rate 8 --catch 5 --leave 2
	$(BIN)/python -m tests.simulations.chaos_workers --engine local

bench-workers: $(VENV)/dev.stamp ## Send to 20,000 readers with one worker and with two, at 200 ms a request
	$(BIN)/python -m bench workers

chaos-batches: $(VENV)/dev.stamp ## Kill the batch sender over 60 requests and account for each email
	$(BIN)/python -m tests.simulations.chaos_batches
	$(BIN)/python -m tests.simulations.chaos_batches --bare

kill-scoring: $(VENV)/dev.stamp ## Kill the scorer 50 times over a day and account for each paid call
	$(BIN)/python -m tests.simulations.chaos_scoring --kills 50

# Cosmic Ray has its own environment: its packages are not in the lock files.
build/mutants/venv/bin/cosmic-ray: $(VENV)/dev.stamp
	$(PYTHON) -m venv --clear build/mutants/venv
	build/mutants/venv/bin/python -m pip install -q --disable-pip-version-check $(PATIENT) cosmic-ray==8.7.0

FAULTS ?= 15
SEED ?= 1
mutants: build/mutants/venv/bin/cosmic-ray ## Mutation testing: how many injected faults the tests find: ONLY="newsletter/domain/send_times.py" FAULTS=15 SEED=1 SURVIVORS=1
	@build/mutants/venv/bin/python bench/mutants.py --python $(BIN)/python --faults $(FAULTS) --seed $(SEED) $(if $(ONLY),--only $(ONLY)) $(if $(SURVIVORS),--survivors)

docs-settings: $(VENV)/dev.stamp ## Write docs/settings.md from the settings themselves
	@$(BIN)/python -m tests.docs.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

picture: demo ## Take the README's screenshot of the demo with headless Chromium
	$(BIN)/python -m bench picture $(DEMO_OUT)/index.html docs/digest.png

lock: ## Update the lock files (needs pip-tools on the PATH)
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build -o requirements.lock pyproject.toml
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build --extra scale -o requirements-scale.lock pyproject.toml
	pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-find-links --extra build --extra scale --extra dev -o requirements-dev.lock pyproject.toml

clean: ## Remove everything that make created
	rm -rf $(VENV) $(DEMO_OUT) build tests/render/gallery/email/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache

.PHONY: bench-copy bench-daily-run bench-deliver bench-goals bench-history bench-import bench-limits bench-mail bench-memory bench-million bench-peers bench-planning bench-posts bench-triage bench-render bench-rivals bench-scoring bench-slopes bench-tex bench-workers bench-zombie chaos chaos-batches chaos-workers check-email check-mail-servers check-wheel clean demo docs-settings gallery help install install-scale kill-scoring lint lock mutants picture pytest simulate-recorded simulate-sleep simulate-week simulate-year test test-large test-simulations
