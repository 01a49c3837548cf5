# Each target makes .venv itself if it is missing or older than what it is made from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SAMPLE := demo
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

.PHONY: demo test lint browser docs clean

demo: $(READY)
	$(BIN)/likebut models pull small
	$(BIN)/likebut demo --out $(SAMPLE)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=85

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

# The page's tests drive a Chromium of the system's; without one they are skipped.
browser:
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	command -v apt-get >/dev/null || { echo "There is no Chromium, and no apt-get to install it with. Install Chromium by hand." >&2; exit 1; }; \
	test "$$(id -u)" = 0 || { echo "There is no Chromium, and installing it takes root: sudo make browser" >&2; exit 1; }; \
	apt-get update && apt-get install -y --no-install-recommends chromium

docs: $(READY)
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
