# Every target creates .venv if it is missing or older than its requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SAMPLE := demo
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

.PHONY: demo test lint browser docs clean small-generator small-retriever photographs

demo: $(READY)
	$(BIN)/likebut models pull small
	$(BIN)/likebut demo --out $(SAMPLE)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=85

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict src

# The page's tests use the system's Chromium; without one they are skipped.
browser:
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	command -v apt-get >/dev/null || { echo "Chromium is missing and apt-get is not available. Install Chromium manually." >&2; exit 1; }; \
	test "$$(id -u)" = 0 || { echo "Chromium is missing; installing it requires root: sudo make browser" >&2; exit 1; }; \
	apt-get update && apt-get install -y --no-install-recommends chromium

# Train the published weights again, in WEIGHTS, on the photographs that docs/clothing.md describes:
# make small-generator PHOTOGRAPHS=FOLDER. If interrupted, the same command resumes.
WEIGHTS := weights
TRAIN_GENERATOR = $(BIN)/likebut train generator --data $(WEIGHTS)/drawings

photographs:
	@test -d "$(PHOTOGRAPHS)" || { echo "PHOTOGRAPHS is not set. Add PHOTOGRAPHS=FOLDER." >&2; exit 1; }

small-generator: photographs $(READY)
	$(BIN)/likebut models pull small
	$(BIN)/likebut data sample $(WEIGHTS)/drawings --train-families 2000 --pool-families 0 --queries-per-family 15 --plain
	$(BIN)/likebut data clothing $(WEIGHTS)/clothing-16 --root "$(PHOTOGRAPHS)" --derived-per-image 16
	$(BIN)/likebut data clothing $(WEIGHTS)/clothing-plain --root "$(PHOTOGRAPHS)" --derived-per-image 16 --plain --most-changes 5
	$(TRAIN_GENERATOR) --recipe generator-words --also $(WEIGHTS)/clothing-16 --init-retriever small --out $(WEIGHTS)/generator-begun
	$(TRAIN_GENERATOR) --recipe generator-further --also $(WEIGHTS)/clothing-plain --init $(WEIGHTS)/generator-begun --out $(WEIGHTS)/generator

small-retriever: photographs $(READY)
	$(BIN)/likebut models pull small
	$(BIN)/likebut data sample $(WEIGHTS)/sample
	$(BIN)/likebut data clothing $(WEIGHTS)/clothing --root "$(PHOTOGRAPHS)" --derived-per-image 4
	$(BIN)/likebut train retriever --recipe retriever-clothing --data $(WEIGHTS)/clothing --also $(WEIGHTS)/sample --out $(WEIGHTS)/retriever

docs: $(READY)
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)
