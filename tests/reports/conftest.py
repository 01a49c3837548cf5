import sys
from pathlib import Path

# Helpers beside the tests; importlib mode does not put them on the path.
sys.path.insert(0, str(Path(__file__).parent))
