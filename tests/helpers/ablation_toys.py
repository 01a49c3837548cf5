"""A data folder and a generator in small, for the ablations' tests."""

from pathlib import Path
from typing import Any

from helpers.training_toys import make_data_folder
from likebut.data.folder import DataFolder
from likebut.generator.generator import ModificationGenerator
from likebut.research.ablations.plan import AblationFolders, AblationSettings, sized


def make_folders(folder: Path) -> AblationFolders:
    """Three families for training, one for evaluation; 48 of the 66 pairs of training images have no annotation."""
    data = DataFolder.open(make_data_folder(folder / "data"))
    return AblationFolders(data, folder / "out", features=folder / "features")


def save_generator(folder: Path) -> Path:
    """Save an untrained generator."""
    ModificationGenerator.from_preset("tiny").save(folder)
    return folder


def tiny_settings(generator: Path | str, **changes: Any) -> AblationSettings:
    return AblationSettings.model_validate(sized("full", "tiny") | {"generator": str(generator), "seeds": 1} | changes)
