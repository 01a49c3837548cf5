"""Training of retrievers and generators: the public API, imported on first use because torch takes seconds to load."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likebut.recipes.schema import CaptionSettings, LossSettings, TrainingSettings
    from likebut.training.data import TrainingData
    from likebut.training.datasets import load_dataset
    from likebut.training.evaluation import Evaluator, RetrievalEvaluator
    from likebut.training.train_generator import GeneratorRun
    from likebut.training.train_retriever import RetrieverRun, RetrieverTrainer

_MODULES = {
    "CaptionSettings": "likebut.recipes.schema",
    "LossSettings": "likebut.recipes.schema",
    "TrainingSettings": "likebut.recipes.schema",
    "TrainingData": "likebut.training.data",
    "load_dataset": "likebut.training.datasets",
    "Evaluator": "likebut.training.evaluation",
    "RetrievalEvaluator": "likebut.training.evaluation",
    "GeneratorRun": "likebut.training.train_generator",
    "RetrieverRun": "likebut.training.train_retriever",
    "RetrieverTrainer": "likebut.training.train_retriever",
}
__all__ = [
    "CaptionSettings",
    "Evaluator",
    "GeneratorRun",
    "LossSettings",
    "RetrievalEvaluator",
    "RetrieverRun",
    "RetrieverTrainer",
    "TrainingData",
    "TrainingSettings",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
