"""A small data folder and generator for tests of ablations."""

from pathlib import Path
from typing import Any

from helpers.training_toys import make_data_folder
from likebut.data.folder import DataFolder
from likebut.generator.generator import ModificationGenerator
from likebut.research.ablations.plan import AblationSettings, Place, sized


def make_place(folder: Path) -> Place:
    """Three training families and one for evaluation; 48 of the 66 pairs of training images have no triplet."""
    data = DataFolder.open(make_data_folder(folder / "data"))
    return Place(data, folder / "out", features=folder / "features")


def save_generator(folder: Path) -> Path:
    """Save a generator with random weights."""
    ModificationGenerator.from_preset("tiny").save(folder)
    return folder


def tiny_settings(generator: Path | str, **changes: Any) -> AblationSettings:
    return AblationSettings.model_validate(sized("full", "tiny") | {"generator": str(generator), "seeds": 1} | changes)
