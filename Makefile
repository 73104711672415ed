# EAIP Operations. `make help` lists the targets.
PYTHON ?= python3
PY := .venv/bin/python
export PORT ?= 8000
export MINUTES ?= 30
export PARTS FRESH

.DEFAULT_GOAL := help
.PHONY: help setup run test coverage reliability model soak check fix bench lock screenshots vendor ci

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

run: ## start the portal with everything it needs (PORT=8000); Ctrl-C stops it
	@$(PYTHON) -m deploy.launcher run

setup: ## make the virtual environment with all tools
	@$(PYTHON) -m deploy.launcher install dev

test: ## run all tests on their own engines (T="-k name" narrows)
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.chromium
	@$(PY) -m tests.debian
	@$(PY) -m pytest -n 3 --dist worksteal $(T)

coverage: ## the same, and how much of the code they reach
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.chromium
	@$(PY) -m tests.debian
	@$(PY) -m pytest -n 3 --dist worksteal --cov --cov-report=term $(T)

reliability: ## what is promised of the engine, with its real clocks, part by part (PARTS="R7 R9"; goes on where it was ended)
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.chromium
	@$(PY) -m tests.debian
	@$(PY) -m tests.reliability

model: setup ## check the model of the engine with spin, and that seeded mutants are found (T="words of a case" narrows)
	@$(PY) -m tests.model $(T)

soak: ## real workers under faults for MINUTES=30; the report is docs/reference/soak.md (SEED=n, CLOCKS=real)
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.soak

check: setup ## lint, types, order of imports, migrations, templates; edits nothing
	@$(PY) -m tests.check

fix: setup ## put right what can be put right by a program
	@-$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .
	@find templates -name '*.html' -print0 | xargs -0 -r .venv/bin/djhtml --tabwidth 2
	@find templates -name '*.html' -print0 | xargs -0 -r .venv/bin/djade --target-version 5.2

bench: ## measure the figures, each against a baseline in the same run (B=name for one)
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.chromium
	@$(PY) -m bench $(B)

lock: ## resolve the package lists anew
	@$(PYTHON) -m deploy.launcher install dev
	@for list in install run traces test dev; do \
	  .venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	    --no-annotate --custom-compile-command "make lock" requirements/$$list.in -o requirements/$$list.txt $(UPGRADE) || exit 1; \
	done

screenshots: ## take the README's pictures from the running portal (URL=http://127.0.0.1:8000)
	@$(PYTHON) -m deploy.launcher install test
	@$(PY) -m tests.chromium
	@PYTHONPATH=. $(PY) docs/screenshots/take.py

vendor: ## fetch the front-end files into static/vendor, and the documents of tests
	@npm ci --ignore-scripts --no-audit --no-fund
	@$(PY) deploy/vendor/vendor.py
	@$(PY) deploy/vendor/documents.py
	@$(PY) deploy/vendor/descriptions.py

ci: check test ## what continuous integration runs
