# Every command a person runs. A machine with Python 3.11 or newer, git and make is enough.

STAGE ?= dev
BASE ?= main
ARGS ?=
UV := uv==0.13.9

# Where a shell forbids bytecode, each process would compile all of this again, and pytest the tests.
unexport PYTHONDONTWRITEBYTECODE

# The first Python here that is new enough, unless one is named: make PYTHON=/usr/bin/python3.13 …
SUITABLE := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUITABLE)' 2>/dev/null && echo $$python && break; done)

# Node.js and npm come as a wheel: those of the machine, if any, are not used.
NODE := PATH="$(CURDIR)/.venv/bin:$$PATH" NODE_USE_SYSTEM_CA=1
CDK := $(NODE) CDK_DISABLE_CLI_TELEMETRY=true node_modules/.bin/cdk --app cdk.out/$(STAGE)
PIP := .venv/bin/python -m pip --disable-pip-version-check
PACKAGING := $(addprefix stacks/constructs/,packaging.py bytecode.py bytecode.mjs)
CODE := app.py stacks lambdas contracts topology rehearsal catalogue demo faults mutation bench tests

.PHONY: $(shell awk -F: '/^[a-z]+:/ { print $$1 }' Makefile)
.DELETE_ON_ERROR:

help: ## what there is to make (this)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .build/host.stamp .build/lambda.stamp ## install all that is needed, into this folder alone

demo: .build/host.stamp ## watch orders flow through the synthesized templates: ARGS="--help" tells more
	@.venv/bin/python -m demo $(ARGS)

test: setup ## all tests, offline: ARGS="tests/orders -k twice" runs some
	@.venv/bin/python -m pytest -n auto --maxprocesses=8 --dist=worksteal $(ARGS)

fuzz: setup ## ask the API thousands of things, other ones each time: none may fail, or be answered oddly
	@.venv/bin/python -m pytest tests/api/test_api.py --hypothesis-profile=thorough $(ARGS)

check: lint types imports templates test ## all that continuous integration asks for

lint: setup
	@echo "ruff" && .venv/bin/ruff check --quiet $(CODE) && .venv/bin/ruff format --check --quiet $(CODE)

types: setup
	@echo "mypy" && .venv/bin/mypy

imports: setup
	@echo "import-linter" && .venv/bin/lint-imports --no-logo

templates: synth
	@echo "cfn-lint" && printf '%s\n' dev prod | \
		xargs -P 2 -I {} .venv/bin/cfn-lint 'cdk.out/{}/*.template.json'

synth: setup ## the templates of both stages, validated, into cdk.out/dev and cdk.out/prod
	@.venv/bin/python -m stacks.synthesis --stage dev --stage prod

documents: setup ## docs/openapi.json and docs/asyncapi.json, as classes and templates want them
	@.venv/bin/python -m stacks.synthesis --stage dev --no-validation --out .build/documents
	@.venv/bin/python -m contracts.documents .build/documents/dev

diff: setup ## what a deployment would change: STAGE=dev
	@.venv/bin/python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) diff --all

review: setup ## in words, what this tree changes since it left BASE=main, in production or STAGE=dev
	@.venv/bin/python -m contracts.review $(BASE) $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

deploy: setup ## into the AWS account that the shell is logged in to: STAGE=dev
	$(call asks,--require-approval --require-approval=%,widens permissions,Read what 'make diff STAGE=$(STAGE)' says and agree beforehand,--require-approval never)
	@.venv/bin/python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) deploy --all $(ARGS)

destroy: setup ## take a stage down again: STAGE=dev
	$(call asks,--force -f,deletes anything,Agree beforehand,--force)
	@.venv/bin/python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) destroy --all $(ARGS)

# The CDK asks at a terminal. Without one it would fail at the first stack that has a question.
define asks
	@$(if $(filter --yes -y $(1),$(ARGS)),:,[ -t 0 ] && [ -t 1 ]) || { printf '%s\n' \
		"error: the CDK asks before it $(2), and there is no terminal to answer at." \
		"$(3): make $@ STAGE=$(STAGE) ARGS=\"$(4)\"" >&2; exit 2; }
endef

bootstrap: setup ## make an AWS account ready for CDK, once
	@$(NODE) CDK_DISABLE_CLI_TELEMETRY=true node_modules/.bin/cdk bootstrap $(ARGS)

schemas: setup ## renew what is kept of the events' schemas in docs/events, unless a change breaks others
	@.venv/bin/python -m contracts $(ARGS)

faults: .build/host.stamp ## every fault on every edge: nothing is lost or doubled; ARGS="--help" tells more
	@.venv/bin/python -m faults $(ARGS)

mutate: setup ## weaken the templates, one property at a time: which checks notice? ARGS="--help" tells more
	@.venv/bin/python -m mutation $(ARGS)

kernel: setup ## change the code of lambdas/eventing, one spot at a time: which changes do its tests notice?
	@.venv/bin/mutmut run $(ARGS) && .venv/bin/python -m mutation.kernel

bench: setup ## what a cold start costs, beside a typical handler's
	@.venv/bin/python -m bench $(ARGS)

catalogue: setup ## the site in docs/catalogue: events, contexts, queues, workflows, failures
	@.venv/bin/python -m catalogue

format: setup ## the code, as `make lint` wants it
	@.venv/bin/ruff check --fix --quiet $(CODE); .venv/bin/ruff format --quiet $(CODE)

lock: .venv/.stamp ## pin anew what pyproject.toml and package.json ask for, with hashes
	@.venv/bin/python -m venv .build/uv && .build/uv/bin/python -m pip install -qq $(UV)
	$(call locked,pyproject.toml --group lambda,requirements.txt)
	$(call locked,--group lambda --constraints requirements.txt,lambdas/requirements.txt)
	$(call locked,pyproject.toml --group dev --constraints requirements.txt,requirements-dev.txt)
	$(call locked,--group bench --constraints requirements-dev.txt,bench/requirements.txt)
	@$(NODE) npm install --package-lock-only

clean: ## back to a fresh clone
	@rm -rf .venv .build node_modules cdk.out
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

define locked
	@echo "$(2)" && .build/uv/bin/uv pip compile $(1) --output-file $(2) --quiet --system-certs --universal \
		--python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links $(ARGS)
endef

# Set-up. Each part leaves its stamp when it is complete: one that was interrupted starts anew.

.venv/.stamp: requirements-dev.txt
	@cmp -s $< $@ || { $(install) && cp $< $@; }
	@touch $@

define install
	if [ -z "$(PYTHON)" ]; then \
		echo "Python 3.11 or newer is needed: install it, or name it: make PYTHON=…" >&2; exit 1; fi; \
	$(PYTHON) -c '$(SUITABLE)' || { echo "$(PYTHON) is no Python 3.11 or newer" >&2; exit 1; }; \
	echo "Installing tools and libraries into .venv"; \
	$(PYTHON) -m venv --clear .venv || exit 1; \
	{ $(PIP) install --require-hashes --requirement $< 2>.venv/errors || echo FAILED; } | \
		awk -v all="$$(grep -c == $<)" ' \
			/^(Collecting|Processing) / && ++n % 20 == 0 { print "  " n " of " all; fflush() } \
			/^Installing / { print "  " n " of " all ", now unpacking them"; fflush() } \
			/^FAILED/ { exit 1 }' || \
		{ cat .venv/errors; echo "Check the network and pip's settings, then try again"; exit 1; } >&2
endef

node_modules/.stamp: package-lock.json .npmrc .venv/.stamp
	@echo "Installing the CDK command line and the compiler into node_modules"
	@$(NODE) npm ci --loglevel=error
	@touch $@

.build/%.stamp: lambdas/requirements.txt $(PACKAGING)
	@.venv/bin/python -m stacks.constructs.packaging $*
	@touch $@

.build/host.stamp: .venv/.stamp
.build/lambda.stamp: node_modules/.stamp
