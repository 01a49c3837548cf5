"""Where the ablations find their data and leave what they did."""

from dataclasses import dataclass
from pathlib import Path

from likebut.data_folder import DataFolder


@dataclass(frozen=True)
class Place:
    """Folders.

    Attributes:
        data: The data folder that is learnt from and measured on.
        out: Where everything goes.
        also: Further data folders whose triplets join every fine-tuning, whole.
        features: Where vision tokens are cached; in the user's cache folder if None.
    """

    data: DataFolder
    out: Path
    also: tuple[Path, ...] = ()
    features: Path | None = None
