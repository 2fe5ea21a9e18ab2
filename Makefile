# Each target builds .venv first if it is not there or its requirements changed.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: study test test-all lint clean
.DEFAULT_GOAL := test

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --constraint constraints.txt --editable '.[study,dev]'
	touch $@

study: .venv/.installed
	$(RUN) train.py --multirun experiment=quick
	$(RUN) evaluate.py runs=runs/quick

test: lint
	$(RUN) -m pytest

test-all: lint
	$(RUN) -m pytest -m ''

lint: .venv/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

clean:
	rm -rf .venv build dist *.egg-info
