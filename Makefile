# All commands for developers. They need only Python 3.11 or newer, git and make.

# Only the command line counts, because a variable of the shell may be meant for another program.
SHELL_STAGE := $(if $(filter environment,$(origin STAGE)),$(STAGE))
STAGE := dev
BASE := main
ARGS :=
ENDPOINT :=
SHIFT :=
RATE :=
FOR := 60s
UV := uv==0.13.9

# Commands see an allow-list of environment variables and no settings files: workspace/isolation.py.
RUN := .venv/bin/python -I workspace/isolation.py
# Commands that work in an AWS account see all variables, but still use only the wheel's Node.js.
ACCOUNT := $(RUN) --account
CDK := $(ACCOUNT) node node_modules/aws-cdk/bin/cdk
# So does a replay of the rules of AWS at an endpoint.
PARITY = $(RUN) $(if $(ENDPOINT)$(findstring --endpoint,$(ARGS)),--account) \
	python packages/cdk-rehearsal/tests/parity.py
# With a rate, orders are placed on a stage, which has to be named.
LOAD_TEST = $(ACCOUNT) python -m tools.load_test --rate $(RATE) --for $(FOR) $(if $(ENDPOINT),--endpoint $(ENDPOINT))
PACKAGING := $(addprefix stacks/constructs/,packaging.py bytecode.py bytecode.mjs)
CODE := app.py stacks lambdas tests tools packages workspace

.PHONY: $(shell awk -F: '/^[a-z]+:/ { print $$1 }' Makefile)
.DELETE_ON_ERROR:

help: ## list the commands (this)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .build/host.stamp .build/lambda.stamp ## install all dependencies, into this folder only

demo: .build/host.stamp ## watch orders flow through the synthesized templates; options: ARGS="--help"
	@$(RUN) python -m tools.demo $(ARGS)

test: setup $(if $(CI),.build/locust.stamp) ## run all tests, offline; some of them: ARGS="tests/orders -k twice"
	@$(RUN) python -m pytest -n auto --maxprocesses=8 --dist=worksteal $(ARGS)

runtime: setup ## run the tests of handlers, API and flows on the classic bus and on Lambda's version of Python
	@$(RUN) .ci/runtime $(ARGS)

fuzz: setup ## send thousands of random requests to the API: none may fail or get an undocumented response
	@$(RUN) python -m pytest tests/api/test_api.py --hypothesis-profile=thorough $(ARGS)

check: test static ## run all checks of continuous integration; with --jobs=2, the static ones beside the tests

static: lint types imports templates

lint: setup workflows
	@echo "ruff" && $(RUN) ruff check --quiet $(CODE) && $(RUN) ruff format --check --quiet $(CODE)

# The first reads keys and values, the second finds injections, wide permissions and unpinned actions.
workflows: setup
	@echo "check-jsonschema" && $(RUN) check-jsonschema --builtin-schema vendor.github-workflows \
		.github/workflows/*.yml
	@echo "zizmor" && $(RUN) zizmor --quiet --offline .github

types: setup
	@echo "mypy" && $(RUN) mypy

imports: setup
	@echo "import-linter" && $(RUN) lint-imports --no-logo

templates: synth
	@echo "cfn-lint" && printf '%s\n' dev prod | \
		xargs -P 2 -I {} $(RUN) cfn-lint 'cdk.out/{}/*.template.json'
	@$(RUN) cfn-lint tools/release/role.yaml

synth: setup ## write the templates of both stages, validated, to cdk.out/dev and cdk.out/prod
	@$(RUN) python -m stacks.synthesis --stage dev --stage prod

generated: setup ## update everything in docs that is generated, unless a change breaks consumers or clients
	@$(RUN) python -m tools.contracts
	@$(RUN) python -m stacks.synthesis --stage dev --no-validation --out .build/documents
	@$(RUN) python -m tools.contracts.documents .build/documents/dev
	@$(RUN) python -m tools.catalogue.pictures event-map

pictures: setup ## draw the pictures of the README again: the console, the event map, the demo, the fault matrix; one: ARGS=demo
	@$(RUN) python -m tools.catalogue.pictures $(ARGS)

diff: setup ## show what a deployment would change: STAGE=dev
	$(named)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) diff --all

review: setup ## summarize the changes of this tree since it left BASE=main, in prod or in STAGE=dev
	@$(RUN) python -m tools.contracts.review $(BASE) $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

deploy: setup ## deploy to the shell's AWS account: STAGE=dev; in an emergency, all at once: SHIFT=at-once
	$(named)
	$(call asks,--require-approval --require-approval=%,widens permissions,Read the output of 'make diff STAGE=$(STAGE)' and then approve in advance,--require-approval never)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE) $(if $(SHIFT),--shift $(SHIFT))
	@$(CDK) --app cdk.out/$(STAGE) deploy --all $(ARGS)

release: setup ## review, deploy and test the checked-out commit; roll back if that fails: STAGE=dev; ARGS=--dry-run lists the steps
	$(named)
	@$(ACCOUNT) python -m tools.release --stage $(STAGE) $(ARGS)

notes: setup ## write the section of the changelog about this version, for its release: ARGS=notes.md
	@$(RUN) python -m tools.release.changelog $(ARGS)

refactor: setup ## move resources as `make review` has written it, before a deployment: STAGE=dev ARGS=--dry-run
	$(named)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) refactor --unstable=refactor \
		--override-file .build/refactor-$(STAGE).json $(ARGS)

redrive: setup ## deliver events again on a Custom Event Bus: STAGE=dev ARGS="checkout RunCheckout"
	$(named)
	@$(ACCOUNT) python -m tools.redrive --stage $(STAGE) $(ARGS)

restore: setup ## bring back items that a table has lost: STAGE=dev ARGS="orders Orders"
	$(named)
	@$(ACCOUNT) python -m tools.restore --stage $(STAGE) $(ARGS)

smoke: .venv/.stamp ## follow a synthetic order through a deployed stage, and clean up: STAGE=dev; not on AWS: ENDPOINT=URL
	$(named)
	@$(ACCOUNT) python -m tools.smoke --stage $(STAGE) $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(ARGS)

console: setup ## watch a stage on a live page; with ARGS=--operate, redrive: STAGE=dev; not on AWS: ENDPOINT=URL
	$(named)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(if $(ENDPOINT),AWS_ENDPOINT_URL=$(ENDPOINT)) $(ACCOUNT) python -m cdk_rehearsal console cdk.out/$(STAGE) \
		--journal .build/console-$(STAGE).jsonl --runbook docs/runbook.md \
		--site .build/catalogue --site-build "make catalogue" $(ARGS)

destroy: setup ## remove a stage from the AWS account: STAGE=dev
	$(named)
	$(call asks,--force -f,deletes anything,Approve in advance,--force)
	@$(RUN) python -m stacks.synthesis --stage $(STAGE)
	@$(CDK) --app cdk.out/$(STAGE) destroy --all $(ARGS)

define named
	@$(if $(SHELL_STAGE),echo "error: the shell has a variable STAGE but only the command line counts:" \
		"name the stage (make $@ STAGE=dev) or unset the variable" >&2; exit 2)
endef

# The CDK asks questions on a terminal. Without a terminal, it would fail at the first question.
define asks
	@$(if $(filter --yes -y $(1),$(ARGS)),:,[ -t 0 ] && [ -t 1 ]) || { printf '%s\n' \
		"error: the CDK asks before it $(2), but there is no terminal to answer at." \
		"$(3): make $@ STAGE=$(STAGE) ARGS=\"$(4)\"" >&2; exit 2; }
endef

bootstrap: setup ## prepare an AWS account for the CDK, once per region
	@$(CDK) bootstrap $(ARGS)

faults: .build/host.stamp ## inject every fault on every edge: nothing may be lost or doubled; options: ARGS="--help"
	@$(RUN) python -m tools.faults $(ARGS)

migrate: .build/host.stamp ## move everything to the Custom Event Bus and back, while orders flow; options: ARGS="--help"
	@$(RUN) python -m tools.migrate $(ARGS)

upgrade: setup ## upgrade from another release while orders flow, and roll back: BASE=v1.0; options: ARGS="--help"
	@$(RUN) python -m tools.upgrade --base $(BASE) $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

mutate: setup ## mutation tests: weaken the templates, one property at a time; options: ARGS="--help"
	@$(RUN) python -m tools.mutation $(ARGS)

permissions: .build/host.stamp ## list which permissions the demo uses, and which it does not; options: ARGS="--help"
	@$(RUN) python -m tools.permissions $(ARGS)

cost: .build/host.stamp ## rehearse orders and list what they cost, in use and idle; options: ARGS="--help"
	@$(RUN) python -m tools.cost $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

capacity: .build/host.stamp ## rehearse orders and list how many per second each hop carries, and why; options: ARGS="--help"
	@$(RUN) python -m tools.capacity $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

load: .build/host.stamp $(if $(RATE),.build/locust.stamp) ## rehearse an overload in virtual time, or load a deployed stage: STAGE=dev RATE=2 FOR=60s
	$(if $(RATE),$(named))
	@$(if $(RATE),$(LOAD_TEST),$(RUN) python -m tools.load) $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

latency: .build/host.stamp ## list what an order waits for until it is confirmed, hop by hop; options: ARGS="--help"
	@$(RUN) python -m tools.load.latency $(if $(filter-out file,$(origin STAGE)),--stage $(STAGE)) $(ARGS)

parity: .venv/.stamp ## list the rules of AWS that the rehearsal implements; compare them: ENDPOINT=URL or ENDPOINT=aws
	@$(PARITY) $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(ARGS)

page: node_modules/.stamp ## build the live page of the console again, after a change of packages/cdk-rehearsal/page
	@$(RUN) node packages/cdk-rehearsal/page/build.mjs

kernel: setup ## mutation tests: change the code of lambdas/eventing, one spot at a time
	@$(RUN) mutmut run $(ARGS) && $(RUN) python -m tools.mutation.kernel

bench: setup ## measure CPU and memory per order, imports, cold starts, test collection; options: ARGS="--help"
	@$(RUN) python -m tools.bench $(ARGS)

catalogue: setup ## build a site about events, contexts, queues and workflows in .build/catalogue; options: ARGS="--help"
	@$(RUN) python -m tools.catalogue $(ARGS)

sbom: setup ## list the distributions in the Lambda layer: CycloneDX, .build/sbom.json
	@$(RUN) python -m tools.sbom

strangers: .venv/.stamp ## run make demo and make test on simulated machines of other people (1 h); ARGS="--list" lists them
	@.venv/bin/python -m workspace.strangers $(ARGS)

format: setup ## format the code as `make lint` requires
	@$(RUN) ruff check --fix --quiet $(CODE); $(RUN) ruff format --quiet $(CODE)

lock: .venv/.stamp ## update the lock files from pyproject.toml and package.json, with hashes
	@.venv/bin/python -m venv .build/uv && .build/uv/bin/python -m pip install -qq $(UV)
	$(call locked,pyproject.toml --group lambda,requirements.txt)
	$(call locked,--group lambda --constraints requirements.txt,lambdas/requirements.txt)
	$(call locked,pyproject.toml --group dev --constraints requirements.txt,requirements-dev.txt)
	$(call locked,--group bench --constraints requirements-dev.txt,tools/bench/requirements.txt)
	$(call locked,--group locust --constraints requirements-dev.txt,tools/load_test/requirements.txt)
	@$(RUN) .venv/bin/npm install --package-lock-only

clean: ## remove all installed files and caches
	@rm -rf .venv .build node_modules cdk.out
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

define locked
	@echo "$(2)" && .build/uv/bin/uv pip compile $(1) --output-file $(2) --quiet --system-certs --universal \
		--python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links $(ARGS)
endef

# Set-up. Each part creates a stamp when it is complete, so an interrupted part starts again.

# The first Python on the PATH that is new enough, or the named one: make PYTHON=/usr/bin/python3.13
NAMED := $(if $(filter command,$(origin PYTHON)),$(PYTHON))
VERSION := import sys; print("%d.%d.%d" % sys.version_info[:3]); sys.exit(sys.version_info < (3, 11))

# This runs each time, because a moved folder or another named Python requires a new .venv.
.venv/.stamp: FORCE
	@named="$(NAMED)"; \
	for python in "$${named:-$${PYTHON:-python3}}" \
		$(if $(NAMED),,python3 python3.14 python3.13 python3.12 python3.11); do \
		version=$$("$$python" -I -c '$(VERSION)' 2>/dev/null) && break; python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "error: $${named:-python3 on the PATH} is not Python 3.11 or newer: install one," \
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

.build/locust.stamp: tools/load_test/requirements.txt .venv/.stamp
	@$(RUN) python -m tools.load_test.driver
	@touch $@

FORCE:
