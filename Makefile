# Two commands: `make run` talks, `make test` checks. Both set up whatever they need first.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-long lint lint-python lint-page audit ci fuzz clean interop bench-peers

PYTHON ?= python3

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## Install everything the product needs
	@$(PYTHON) scripts/setup.py

run: setup ## Start the agent and its page; HTTPS=1 for phones in the network
	@exec .venv/bin/repartee up $(if $(HTTPS),--https)

test: ## Set up everything, then run all checks and tests
	@$(PYTHON) scripts/setup.py --tests
	@$(MAKE) --no-print-directory lint
	@.venv/bin/pytest --numprocesses auto --ignore tests/system
	@.venv/bin/pytest tests/system

test-long: ## The calls of a minute and more that `make test` leaves out: chaos, networks, floods, handovers (half an hour)
	@$(PYTHON) scripts/setup.py --tests --long
	@.venv/bin/pytest -m long tests/system tests/session

lint: ## Format, lint, types and layers, of Python and of the page
	@$(MAKE) --no-print-directory --jobs 2 lint-python lint-page

lint-python:
	@.venv/bin/ruff format --check src tests agents scripts clients
	@.venv/bin/ruff check src tests agents scripts clients
	@.venv/bin/mypy
	@.venv/bin/lint-imports

lint-page:
	@$(PYTHON) scripts/setup.py --check-web

audit: ## Look up every locked package in the databases of known vulnerabilities
	@$(PYTHON) scripts/audit.py

ci: test audit ## What is checked before a change is taken: all tests, and the packages

fuzz: ## Run 100,000 made up cases of everything that reads what others write (nightly); writes benchmarks/results
	@$(PYTHON) scripts/setup.py --dev
	@.venv/bin/python scripts/fuzz.py --write benchmarks/results/fuzz.json

clean: ## Remove what setup made in this folder
	@rm -rf .venv web/node_modules tests/interop/node_modules tests/interop/dist src/repartee/server/static

interop: ## Call with the packages that others build clients with (a few minutes); writes benchmarks/results
	@$(PYTHON) scripts/setup.py --tests
	@REPARTEE_INTEROP=benchmarks/results/interop.json .venv/bin/pytest -m browser tests/system/test_interop.py
	@.venv/bin/python scripts/figures.py

bench-peers: setup ## Measure repartee against its peers (about an hour); writes benchmarks/results
	@$(PYTHON) scripts/bench_peers.py
