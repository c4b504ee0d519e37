# Respool's commands. Works with GNU make (3.81 too, which macOS has) and BSD make: plain rules, no functions.
#
# Installing happens once: a stamp file in .venv is newer than pyproject.toml and constraints.txt until they change.

PORT = 8000
# Another interpreter: make up PYTHON=/path/to/python3.12
PYTHON =
SEED = 1
SECONDS = 60
FAULTS = all
ROUNDS = 12
EVENTS = 12
ENDS = 200
FSYNC_MS = 0
WHAT =
GENERATIONS =
STARTS =
TOKENS = 1000
RATE = 50
VIEWERS = 1
VENV = .venv
BIN = $(VENV)/bin
# Relative, so that a checkout whose path has a space in it works. Builds are pinned too: older pip reads the first
# name for them, newer pip the second.
PIP = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check
# Sets $python. An interpreter counts only if it runs: a pyenv shim may be on the PATH and lead nowhere.
FIND_PYTHON = python=; for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
	echo "Respool needs Python 3.11 or newer, and none was found as python3 or python3.11 to python3.14." >&2; \
	echo "Install one, or name it: make up PYTHON=/path/to/python3" >&2; exit 1; fi

help:
	@echo "make up          start Respool on 127.0.0.1:$(PORT) (another port: make up PORT=8123); Ctrl-C stops it"
	@echo "make test        run the tests"
	@echo "make browser     what only a real browser can tell (needs Chromium, npm, nginx, Caddy)"
	@echo "make interop     published clients, unmodified (needs Node 20 or newer, and npm)"
	@echo "make check       ruff, mypy, the import contract"
	@echo "make bench       measure, beside the naive way on this machine (WHAT='path fanout', or single names)"
	@echo "make capacity    what a load takes (GENERATIONS=, at once, or STARTS=, a second; TOKENS=1000 RATE=50 VIEWERS=1)"
	@echo "make rolling     deploy every part anew while people watch"
	@echo "make chaos       break everything for a while and judge what was promised (SEED=1 SECONDS=60 FAULTS=all)"
	@echo "make failover    promote a replica that lags, again and again (ROUNDS=12 SEED=1)"
	@echo "make shards      logs on a cluster: move slots, replace, kill and freeze primaries, grow, shrink (EVENTS=12 SEED=1)"
	@echo "make crash       crash Redis as with its machine whenever strict ends are shown (ENDS=200 FSYNC_MS=0)"
	@echo "make fuzz        requests made of what the API says of itself, for SECONDS=60 (SEED=1)"
	@echo "make mutants     seed known bugs, one by one, and see that a test notices each (WHAT=generated: bugs nobody thought of)"
	@echo "make openapi     renew docs/openapi.json, which a test holds against what the API says of itself"
	@echo "make constraints renew the pinned versions (PYTHON=python3.11)"
	@echo "make hashes      renew the hashes of what the image installs, for these versions"
	@echo "make audit       bandit on the source, and known holes of what is pinned (needs a database within reach)"
	@echo "make clean       remove the environment and the caches; what .respool/ holds stays"

up: $(VENV)/.embedded
	@$(BIN)/python -m broker.local.up --port $(PORT) --with-parent

# Most tests wait for processes more than they compute, so there are more of them at a time than cores.
test: $(VENV)/.test
	@$(BIN)/python -m pytest -n 3 --dist worksteal

# Chromium, nginx and Caddy are the system's (Debian: apt-get install chromium nginx-light caddy); what is missing is skipped.
browser: $(VENV)/.browser
	@$(BIN)/python -m pytest -m browser -rs

# npm installs the packages of tests/interop/package.json beside it; without Node 20 the tests are skipped, and say so.
interop: $(VENV)/.interop
	@$(BIN)/python -m pytest -m interop -rs -n 2 --dist worksteal

check: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.test
	@mkdir -p .respool
	@$(BIN)/python -m tests.bench $(WHAT) --json .respool/bench.json

capacity: $(VENV)/.test
	@$(BIN)/python -m tests.bench.capacity --generations "$(GENERATIONS)" --starts "$(STARTS)" --tokens $(TOKENS) \
		--rate $(RATE) --viewers $(VIEWERS)

rolling: $(VENV)/.test
	@$(BIN)/python -m tests.proof.rolling

chaos: $(VENV)/.test
	@$(BIN)/python -m tests.proof.chaos --seed $(SEED) --seconds $(SECONDS) --faults "$(FAULTS)"

shards: $(VENV)/.test
	@$(BIN)/python -m tests.proof.shards --events $(EVENTS) --seed $(SEED)

failover: $(VENV)/.test
	@$(BIN)/python -m tests.proof.failover --rounds $(ROUNDS) --seed $(SEED)

crash: $(VENV)/.test
	@$(BIN)/python -m tests.proof.crash --ends $(ENDS) --fsync-ms $(FSYNC_MS)

fuzz: $(VENV)/.test
	@$(BIN)/python -m tests.proof.fuzz --seed $(SEED) --seconds $(SECONDS)

mutants: $(VENV)/.test
	@$(BIN)/python -m tests.proof.mutants $(WHAT)

openapi: $(VENV)/.test
	@$(BIN)/python -m tests.docs.openapi > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

# The environment is fresh and elsewhere: what happens to be installed here must not leak into the pins.
constraints:
	@set -e; $(FIND_PYTHON); fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	"$$python" -m venv "$$fresh"; \
	"$$fresh/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[test]'; \
	"$$fresh/bin/python" -m tests.packaging.pins > "$$fresh/constraints.txt"; \
	cp "$$fresh/constraints.txt" constraints.txt

hashes: $(VENV)/.test
	@$(BIN)/python -m tests.packaging.hashes

# In an environment of their own: what they need is none of ours.
audit: $(VENV)-audit/.installed
	@$(VENV)-audit/bin/bandit -q -c pyproject.toml -r api broker worker && echo "bandit: nothing"
	@$(VENV)-audit/bin/python tests/packaging/holes.py requirements/image.txt requirements/build.txt

clean:
	rm -rf $(VENV) $(VENV)-audit .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A half-made environment is removed (Debian's python3 without python3-venv leaves one behind), and so is one whose
# interpreter has gone, with its stamps.
$(BIN)/python:
	@$(FIND_PYTHON); echo "making $(VENV) with $$python"; \
	rm -rf $(VENV); "$$python" -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.embedded: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what Respool needs (pinned in constraints.txt)"
	@$(PIP) -e '.[embedded]'
	@touch $(VENV)/.embedded

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what Respool and its tests need (pinned in constraints.txt)"
	@$(PIP) -e '.[test]'
	@touch $(VENV)/.embedded $(VENV)/.test

$(VENV)-audit/.installed: Makefile
	@$(FIND_PYTHON); echo "installing bandit and pip-audit"; rm -rf $(VENV)-audit; "$$python" -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check bandit==1.9.4 pip-audit==2.10.1
	@touch $@

$(VENV)/.browser: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what Respool and its browser tests need (pinned in constraints.txt)"
	@$(PIP) -e '.[browser]'
	@touch $(VENV)/.embedded $(VENV)/.test $(VENV)/.browser

$(VENV)/.interop: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing what Respool and its tests of published clients need (pinned in constraints.txt)"
	@$(PIP) -e '.[interop]'
	@touch $(VENV)/.embedded $(VENV)/.test $(VENV)/.interop

.PHONY: help up test browser interop check bench capacity rolling chaos failover shards crash fuzz mutants openapi constraints hashes audit clean
