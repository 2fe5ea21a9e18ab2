# Each target builds .venv first if it is not there or its requirements changed.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: install study field gpu test test-all test-library lint bench clean
.DEFAULT_GOAL := test

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --constraint constraints.txt --editable '.[all,dev]'
	# The published package that tests and benchmark compare with, where it does not shadow ours.
	$(RUN) -m pip install --quiet --target .venv/published --upgrade --no-deps auraloss==0.4.0
	touch $@

install: .venv/.installed

# As many trainings at once as there are cores, a thread each: so small a network is no faster on two.
study: .venv/.installed
	$(RUN) -m scripts.sweep experiment=quick
	$(RUN) evaluate.py runs=runs/quick

# What the field trains with today: ten losses, three seeds; docs/field.md has the result.
field: .venv/.installed
	$(RUN) -m scripts.sweep experiment=field
	$(RUN) evaluate.py runs=runs/field report=false
	$(RUN) -m scripts.tracking runs/field/results
	$(RUN) -m scripts.report runs/field/results

# All that a GPU is for, in nine minutes; again with the same folder, it goes on. docs/performance.md has the figures.
gpu: .venv/.installed
	$(RUN) -m scripts.gpu_study --minutes $(or $(MINUTES),9) --out $(or $(OUT),runs/gpu)

# Two processes, of which the one that has finished takes over half of what the other has left; a thread each. Of pytest's
# plugins only the one that they need: rewriting the asserts of the others takes seconds where no bytecode is kept.
TESTS := PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest -p xdist -n 2 --dist worksteal
test: lint
	$(TESTS)

test-all: lint
	$(TESTS) -m ''

# The library by itself: torch and SciPy, and for the tests NumPy, Matplotlib, librosa, pytest, hypothesis. RUN=python: anywhere.
LIBRARY := batches beyond_published bind derivatives draws filterbank further_spectra gradients hostile_inputs \
	lengths loss_modules losses_freq losses_perceptual losses_time mel mixed_sums precision presets properties \
	public_surface random_resolution refusals report silent_target transforms
test-library:
	$(RUN) -m pytest --noconftest auraloss $(LIBRARY:%=tests/test_%.py)

lint: .venv/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

# With nothing else running. docs/performance.md says what the tables mean and how long they take.
LIVE := mr live-mr gpu/mr s4d-mr
bench: .venv/.installed
	for subject in 'train --threads 1' stream 'live $(LIVE:%=models/trained/%)' export evaluate data losses; do \
		$(RUN) -m scripts.benchmark $$subject || exit 1; echo; done

clean:
	rm -rf .venv build dist *.egg-info
