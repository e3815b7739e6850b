# Every command a person runs. A machine with Python 3.11 or newer, git and make is enough.

STAGE ?= dev
BASE ?= main
ARGS ?=
UV := uv==0.13.9

# Commands see an allow-list of environment variables and no settings files: workspace/isolation.py.
RUN := .venv/bin/python -I workspace/isolation.py
# Commands that work in an AWS account see all variables, but still use only the wheel's Node.js.
CDK := $(RUN) --account node node_modules/aws-cdk/bin/cdk
PACKAGING := $(addprefix stacks/constructs/,packaging.py bytecode.py bytecode.mjs)
CODE := app.py workspace stacks lambdas contracts topology rehearsal catalogue demo faults mutation bench tests

.PHONY: $(shell awk -F: '/^[a-z]+:/ { print $$1 }' Makefile)
.DELETE_ON_ERROR:

help: ## what there is to make (this)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .build/host.stamp .build/lambda.stamp ## install all that is needed, into this folder alone

demo: .build/host.stamp ## watch orders flow through the synthesized templates: ARGS="--help" tells more
	@$(RUN) python -m demo $(ARGS)

test: setup ## all tests, offline: ARGS="tests/orders -k twice" runs some
	@$(RUN) python -m pytest -n auto --maxprocesses=8 --dist=worksteal $(ARGS)

runtime: setup ## the tests of handlers, API and flows again on Lambda's version of Python, if it is available
	@$(RUN) .ci/runtime $(ARGS)

fuzz: setup ## ask the API thousands of things, other ones each time: none may fail, or be answered oddly
	@$(RUN) python -m pytest tests/api/test_api.py --hypothesis-profile=thorough $(ARGS)

check: lint types imports templates test ## all that continuous integration asks for

lint: setup
	@echo "ruff" && $(RUN) ruff check --quiet $(CODE) && $(RUN) ruff format --check --quiet $(CODE)

types: setup
	@echo "mypy" && $(RUN) mypy

imports: setup
	@echo "import-linter" && $(RUN) lint-imports --no-logo

templates: synth
	@echo "cfn-lint" && printf '%s\n' dev prod | \
		xargs -P 2 -I {} $(RUN) cfn-lint 'cdk.out/{}/*.template.json'

synth: setup ## the templates of both stages, validated, into cdk.out/dev and cdk.out/prod
	@$(RUN) python -m stacks.synthesis --stage dev --stage prod

documents: setup ## update docs/openapi.json and docs/asyncapi.json, unless the change breaks clients of the API
	@$(RUN) python -m stacks.synthesis --stage dev --no-validation --out .build/documents
	@$(RUN) python -m contracts.documents .build/documents/dev

diff: setup ## what a deployment would change: STAGE=dev
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) diff --all

review: setup ## in words, what this tree changes since it left BASE=main, in production or STAGE=dev
	@$(RUN) python -m contracts.review $(BASE) $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

deploy: setup ## into the AWS account that the shell is logged in to: STAGE=dev
	$(call asks,--require-approval --require-approval=%,widens permissions,Read the output of 'make diff STAGE=$(STAGE)' and then approve in advance,--require-approval never)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) deploy --all $(ARGS)

destroy: setup ## take a stage down again: STAGE=dev
	$(call asks,--force -f,deletes anything,Approve in advance,--force)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) destroy --all $(ARGS)

# The CDK asks questions on a terminal. Without one it would fail at the first question.
define asks
	@$(if $(filter --yes -y $(1),$(ARGS)),:,[ -t 0 ] && [ -t 1 ]) || { printf '%s\n' \
		"error: the CDK asks before it $(2), but there is no terminal to answer at." \
		"$(3): make $@ STAGE=$(STAGE) ARGS=\"$(4)\"" >&2; exit 2; }
endef

bootstrap: setup ## make an AWS account ready for CDK, once
	@$(CDK) bootstrap $(ARGS)

schemas: setup ## renew what is kept of the events' schemas in docs/events, unless a change breaks others
	@$(RUN) python -m contracts $(ARGS)

faults: .build/host.stamp ## every fault on every edge: nothing is lost or doubled; ARGS="--help" tells more
	@$(RUN) python -m faults $(ARGS)

mutate: setup ## weaken the templates, one property at a time: which checks notice? ARGS="--help" tells more
	@$(RUN) python -m mutation $(ARGS)

kernel: setup ## change the code of lambdas/eventing, one spot at a time: which changes do its tests notice?
	@$(RUN) mutmut run $(ARGS) && $(RUN) python -m mutation.kernel

bench: setup ## what a cold start costs, beside a typical handler's
	@$(RUN) python -m bench $(ARGS)

catalogue: setup ## the site in docs/catalogue: events, contexts, queues, workflows, failures
	@$(RUN) python -m catalogue

strangers: .venv/.stamp ## run make demo and make test on simulated machines of other people (1 h): ARGS="--list" lists them
	@.venv/bin/python -m workspace.strangers $(ARGS)

format: setup ## the code, as `make lint` wants it
	@$(RUN) ruff check --fix --quiet $(CODE); $(RUN) ruff format --quiet $(CODE)

lock: .venv/.stamp ## pin anew what pyproject.toml and package.json ask for, with hashes
	@.venv/bin/python -m venv .build/uv && .build/uv/bin/python -m pip install -qq $(UV)
	$(call locked,pyproject.toml --group lambda,requirements.txt)
	$(call locked,--group lambda --constraints requirements.txt,lambdas/requirements.txt)
	$(call locked,pyproject.toml --group dev --constraints requirements.txt,requirements-dev.txt)
	$(call locked,--group bench --constraints requirements-dev.txt,bench/requirements.txt)
	@$(RUN) .venv/bin/npm install --package-lock-only

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

# The first Python here that is new enough, unless one is named: make PYTHON=/usr/bin/python3.13 …
NAMED := $(if $(filter command,$(origin PYTHON)),$(PYTHON))
VERSION := import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))

# This runs each time: if the folder was moved or another Python is named, .venv has to be rebuilt.
.venv/.stamp: FORCE
	@named="$(NAMED)"; \
	for python in "$${named:-$${PYTHON:-python3}}" \
		$(if $(NAMED),,python3 python3.14 python3.13 python3.12 python3.11); do \
		version=$$("$$python" -I -c '$(VERSION)' 2>/dev/null) && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: $${named:-what is on the PATH} is no Python 3.11 or newer: install one," \
			"or name one: make PYTHON=/usr/bin/python3.13" >&2; exit 1; fi; \
	if [ -x .venv/bin/python ] && \
		.venv/bin/python -I workspace/install.py check $(if $(NAMED),"$$version"); then exit 0; fi; \
	"$$python" -I workspace/install.py python

node_modules/.stamp: package-lock.json .npmrc .venv/.stamp
	@.venv/bin/python -I workspace/install.py node

.build/%.stamp: lambdas/requirements.txt $(PACKAGING)
	@$(RUN) python -m stacks.constructs.packaging $*
	@touch $@

.build/host.stamp: .venv/.stamp
.build/lambda.stamp: node_modules/.stamp

FORCE:
