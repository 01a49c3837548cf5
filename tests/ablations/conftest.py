import sys
from pathlib import Path

# Helpers beside the tests, and the small data folder of the training tests; importlib mode puts none on the path.
sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("ablations", "training")]
