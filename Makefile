# choreai: `make demo` and `make test` set everything up by themselves; a second call is quick.
SHELL := /bin/bash
VENV ?= .venv
PY := $(VENV)/bin/python
# 3.12 and 3.11 first: MediaPipe's last self-contained wheel exists for no later Python.
PYTHON ?= $(firstword $(foreach p,python3.12 python3.11 python3.13 python3,$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))

.PHONY: help networks demo check test coverage bad-input fuzz audit docs bench bench-gpu bench-music bench-tracking bench-lift bench-people bench-shots parity chaos chaos-forget scale autoscaling robustness lint setup clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   set up, make synthetic dancers, train on them, tag dancers never seen (about 5 minutes)"
	@echo "make check  set up, ruff, mypy and the tests that start no Ray: before every commit"
	@echo "make test   set up, run the whole test suite"
	@echo "make coverage  the suite with the lines that no test reaches; pages in htmlcov/"
	@echo "make bad-input  bad and odd input case by case, with what must hold (15 minutes)"
	@echo "make fuzz   ten minutes of scrambled files and requests, then many examples of every property"
	@echo "make docs   the documentation as a site, in site/"
	@echo "make bench  throughput of the jobs as ratios against plain loops measured in the same run"
	@echo "make bench-gpu     one GPU: crops and frames a second, where time goes, NVDEC, precision, memory; 8 minutes"
	@echo "make bench-music   beats, false beats, songs and dance against music, beside their goals (needs ../shared)"
	@echo "make bench-people  is the dancer followed among many people, and at what cost (needs ../shared)"
	@echo "make bench-shots   cuts found and made up, on made-up scenes and real clips (needs ../shared)"
	@echo "make bench-lift    3D beside MediaPipe's own, motion capture, styles from other sides (more of it with ../shared)"
	@echo "make bench-tracking  HOTA, IDF1 and switches of the trackers on generated crossings"
	@echo "make parity   networks, crops, decoding and pose NMS against AlphaPose itself, where it can be imported"
	@echo "make chaos  110 seeded runs in which workers, nodes, drivers and the storage fail (an hour)"
	@echo "make chaos-forget  200 seeded runs in which forget and compact are killed at a random moment (ten minutes)"
	@echo "make scale  ten million catalog rows, a million keys, 20,000 shards: time and memory"
	@echo "make autoscaling  Ray's autoscaler with fake GPU nodes, and a picture of the node counts"
	@echo "make robustness   the style model on generated dancers with noise, gaps and other frame rates"
	@echo "make lint   ruff (with bandit's rules) and mypy"
	@echo "make audit  known vulnerabilities of the pinned packages; needs a network"
	@echo "make clean  remove the virtual environment and caches"

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "choreai needs Python 3.11, 3.12 or 3.13 (found: $$(python3 --version 2>&1)); install one, or run: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON): a few minutes and 3 to 7 GB, once"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[mediapipe,onnx,litert,clouds,hub,web,test]"
# The windowed OpenCV build needs the system's libGL; on a bare machine its headless twin (same version, same files) does as well.
	@$(PY) -c "import cv2" 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall opencv-python-headless==$$($(PY) -c "from importlib.metadata import version; print(version('opencv-python'))")
	@touch $@

setup: $(VENV)/.installed

# Where MediaPipe has no wheel its networks run on LiteRT; pip has their files too, in MediaPipe's wheel, which is unpacked and
# not installed.
networks: setup
	@$(PY) -c "import mediapipe" 2>/dev/null || $(VENV)/bin/choreai weights fetch blazepose || echo "no MediaPipe for this Python, and its networks were not fetched: the demo cannot run, and tests that need them skip"

demo: networks
	@$(VENV)/bin/choreai demo --output demo-output

check: lint
	@$(PY) -m pytest -m "not ray and not slow" --durations=0 --durations-min=5

# Tests that start a Ray start several processes each, so that two at once fill two cores.
test: networks
	@failed=0; $(PY) -m pytest -m "not ray" -n auto --maxprocesses 4 --dist loadfile || failed=1; $(PY) -m pytest -m ray -n 2 --dist loadfile || failed=1; exit $$failed

# Needs AlphaPose's own source on the path; without it every comparison is skipped, with the reason.
parity: setup
	@$(PY) -m pytest -q -rs tests/test_alphapose_original.py

coverage: setup
	@$(PY) -m pytest -o timeout=900 --cov --cov-report=term --cov-report=html

bad-input: setup
	@$(PY) tests/bad_input.py --all

fuzz: setup
	@$(PY) tests/fuzz.py --minutes 10
	@$(PY) -m pytest -q --hypothesis-profile=fuzz -o timeout=3600 tests/test_properties_*.py tests/test_web_openapi.py

$(VENV)/.docs: $(VENV)/.installed
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	@touch $@

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "site/index.html"

bench: setup
	@$(PY) tests/bench.py

bench-gpu: setup
	@$(PY) tests/bench_gpu.py

bench-music: setup
	@$(PY) tests/bench_music.py

bench-people: setup
	@$(PY) tests/bench_people.py

bench-shots: setup
	@$(PY) tests/bench_shots.py

bench-lift: setup
	@$(PY) tests/bench_lift.py

bench-tracking: setup
	@$(PY) tests/bench_tracking.py

chaos: setup
	@$(PY) tests/chaos.py

chaos-forget: setup
	@$(PY) tests/chaos_forget.py

scale: setup
	@$(PY) tests/scale.py

autoscaling: setup
	@$(PY) tests/autoscaling.py --picture deploy/autoscaling.png

robustness: setup
	@$(PY) tests/robustness.py --output robustness

lint: setup
	@$(VENV)/bin/ruff check .
# Bandit's rules, which need no network. Not asserts; subprocesses get lists; SQL is made of our own pieces.
	@$(VENV)/bin/ruff check --quiet --select S --ignore S101,S603,S607,S608 choreai jobs
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/mypy --config-file tests/mypy.ini tests

# pip-audit brings a dozen packages of its own, and asks a database of advisories: not a part of lint, which needs no network.
$(VENV)-audit/.installed:
	@$(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@touch $@

audit: $(VENV)-audit/.installed
	@$(VENV)-audit/bin/python tests/audit.py

clean:
	rm -rf $(VENV) $(VENV)-audit .pytest_cache .mypy_cache .ruff_cache build site htmlcov .coverage* *.egg-info
