# make help prints what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# The end-to-end tests wait more than they compute.
PARALLEL := --dist loadfile --no-loadscope-reorder --numprocesses

# uv looks for certificates where pip does, too: in the system, where a company's own are.
export UV_SYSTEM_CERTS := 1

# Make the environment anew if no pip runs in it: it is half made, or its Python was removed or upgraded. One that
# uv has made has no pip.
ifneq ($(shell { $(BIN)/python -c 'import pip' || { $(BIN)/python -c '' && grep '^uv = ' $(VENV)/pyvenv.cfg; }; } \
	>/dev/null 2>&1 || echo anew),)
.PHONY: $(BIN)/python $(VENV)/.example $(VENV)/.tests
endif

.DEFAULT_GOAL := help
.PHONY: help install demo up test unit coverage test-slow lint hooks images lock clean

help:            ## print this list
	@awk -F ':[^#]*## *' '/^[a-z-]+:.*##/ {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.example   ## run the model's whole life on a fresh local ClearML (KEEP=1: and let it go on)
	$(BIN)/python -m demo $(if $(filter-out 0,$(KEEP)),--keep)

up: $(VENV)/.example     ## run a local ClearML until Ctrl-C
	$(BIN)/python -m local_stack up

test: lint unit          ## lint, check types and test, as CI does
	$(BIN)/python -m pytest -m "(e2e or browser) and not slow" $(PARALLEL) 3

unit: $(VENV)/.tests     ## the quick tests alone: no server, no browser, no network
	$(BIN)/python -m pytest -m "not (e2e or browser or slow)" $(PARALLEL) 3

coverage: $(VENV)/.tests ## see which lines the quick tests run, which takes twice as long
	$(BIN)/python -m pytest -m "not (e2e or browser or slow)" --cov --cov-report=term:skip-covered $(PARALLEL) 3

test-slow: $(VENV)/.tests  ## run the tests that take minutes each
	$(BIN)/python -m pytest -m slow $(PARALLEL) 3

lint: $(VENV)/.tests     ## check style and types alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: $(VENV)/.tests    ## let git check style and types before each commit
	$(BIN)/pre-commit install

images: $(VENV)/.tests   ## make the README's pictures anew, from a real run (half an hour; needs Chromium)
	$(BIN)/python -m images.make_images
	$(BIN)/python -m tests.draw_alert

install: $(VENV)/.example  ## install what the example and the local stack need

lock: $(VENV)/.tests     ## take the newest versions that the requirements allow into constraints.txt
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-annotate \
		--generate-hashes --custom-compile-command "make lock" --output-file constraints.txt \
		requirements.txt local_stack/requirements.txt tests/requirements.txt

clean:           ## delete the environment and all local stacks
	rm -rf $(VENV) .local_stack .pytest_cache .ruff_cache .mypy_cache .coverage \
		local_stack/build local_stack/*.egg-info

$(BIN)/python:
	@version=`$(PYTHON) -c 'import sys; print("%d.%02d" % sys.version_info[:2])' 2>/dev/null`; \
	case $$version in 3.1[1-4]) ;; *) \
		echo "Python 3.11 to 3.14 is needed, and $(PYTHON) is `$(PYTHON) --version 2>&1`." \
			"Choose one that is installed: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1;; \
	esac
	@echo "Making an environment for Python packages in $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV) || \
		uv venv --quiet --clear --seed --python $(PYTHON) $(VENV) 2>/dev/null || \
		{ rm -rf $(VENV); echo "On Debian and Ubuntu, venv is a package of its own: apt install python3-venv" >&2; exit 1; }

$(VENV)/.example: requirements.txt requirements-steps.txt $(wildcard local_stack/requirements*.txt) constraints.txt | $(BIN)/python
	@$(BIN)/python -m demo.install -c constraints.txt -r requirements.txt -r local_stack/requirements.txt
	@touch $@

$(VENV)/.tests: tests/requirements.txt $(VENV)/.example
	@$(BIN)/python -m demo.install -c constraints.txt -r tests/requirements.txt
	@touch $@
