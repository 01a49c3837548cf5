# Each target makes .venv itself if it is missing or older than what it is made from.
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

# The page's tests drive a Chromium of the system's; without one they are skipped.
browser:
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	command -v apt-get >/dev/null || { echo "There is no Chromium, and no apt-get to install it with. Install Chromium by hand." >&2; exit 1; }; \
	test "$$(id -u)" = 0 || { echo "There is no Chromium, and installing it takes root: sudo make browser" >&2; exit 1; }; \
	apt-get update && apt-get install -y --no-install-recommends chromium

# The published weights trained again, below WEIGHTS, from the folder of photographs that docs/clothing.md tells of:
# make small-generator PHOTOGRAPHS=FOLDER. Stopped, the same command goes on.
WEIGHTS := weights
TRAIN_GENERATOR = $(BIN)/likebut train generator --data $(WEIGHTS)/drawings

photographs:
	@test -d "$(PHOTOGRAPHS)" || { echo "Say where the photographs are: PHOTOGRAPHS=FOLDER after the target." >&2; exit 1; }

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
