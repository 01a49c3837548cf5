"""What the ablations are run with, and how large."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from likebut.generator.decoding import Decoding
from likebut.synthesis.pairs import PairSettings

Name = Literal["synthetic-size", "alpha", "data-efficiency", "zero-shot", "text-source", "hops-and-losses"]
NAMES: tuple[Name, ...] = get_args(Name)
Size = Annotated[float, Field(ge=0, le=16)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

_PRETRAINING_PER_FINE_TUNING = 1.5


class AblationSettings(BaseModel):
    """Everything that the ablations' figures depend on, but for the data.

    Attributes:
        preset: Which pretrained parts.
        generator: Who writes the modification texts: a name or a folder.
        init: A trained retriever that every training starts from; the preset's own parts if None.
        split: The split that is measured on.
        pool_split: The split whose photographs the pool of undescribed pairs is mined from.
        only: Which ablations.
        seeds: Each row is trained this many times, with seeds 0, 1, 2, …
        pool: How many undescribed pairs "one pool" is.
        pairs: How they are mined; ``limit`` does not count.
        decoding: How the generator writes.
        sizes: Of the synthetic data, in pools.
        alphas: The values of α.
        human_shares: The shares of the human triplets.
        alpha: α wherever it is not what is compared.
        lambda_text: λ likewise.
        pretraining_steps: Steps on synthetic triplets, the same for every amount of them.
        fine_tuning_steps: Steps on human triplets, the same in every row.
        batch_size: Triplets in a step.
        pretraining_learning_rate: On synthetic triplets.
        fine_tuning_learning_rate: On human triplets, with and without pretraining alike.
        controls: Whether what was not pretrained is also fine-tuned for as many steps as both stages have together,
            so that a longer training is not mistaken for a better one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: str = "small"
    generator: str = "small"
    init: str | None = None
    split: str = "val"
    pool_split: str = "train"
    only: tuple[Name, ...] = Field(default=NAMES, min_length=1)
    seeds: int = Field(default=3, ge=1)
    pool: int = Field(default=4000, ge=1)
    pairs: PairSettings = PairSettings(neighbours=8)
    decoding: Decoding = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=32)
    sizes: tuple[Size, ...] = Field(default=(0.0, 0.125, 0.25, 0.5, 1.0, 2.0), min_length=1)
    alphas: tuple[Weight, ...] = Field(default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), min_length=1)
    human_shares: tuple[Share, ...] = Field(default=(0.1, 0.3, 1.0), min_length=1)
    alpha: Weight = 0.4
    lambda_text: Weight = 0.4
    pretraining_steps: int = Field(default=600, ge=1)
    fine_tuning_steps: int = Field(default=400, ge=1)
    batch_size: int = Field(default=64, ge=2)
    pretraining_learning_rate: Positive = 2e-4
    fine_tuning_learning_rate: Positive = 3e-4
    controls: bool = True

    @property
    def largest_size(self) -> float:
        """How many pools are mined and written about: those of the largest row, and the one that all others use."""
        return max((1.0, *self.sizes))


SIZES: dict[str, dict[str, object]] = {
    "full": {},
    "half": {"pool": 2000, "pretraining_steps": 300, "fine_tuning_steps": 200},
    "quick": {"pool": 400, "pretraining_steps": 60, "fine_tuning_steps": 40},
}
"""What `--size` changes."""

_TINY: dict[str, object] = {
    "pool": 4,
    "pairs": PairSettings(neighbours=8, min_similarity=-1.0, max_similarity=1.0).model_dump(),
    "decoding": Decoding(method="nucleus", repetition_penalty=1.0, max_new_tokens=8).model_dump(),
    "sizes": (0.0, 1.0, 2.0),
    "alphas": (0.0, 0.4),
    "human_shares": (0.5, 1.0),
    "batch_size": 2,
    "pretraining_steps": 3,
    "fine_tuning_steps": 2,
}


def sized(size: str, preset: str) -> dict[str, object]:
    """Return the settings of a size; those of the preset "tiny" show in seconds that everything runs."""
    return {"preset": preset} | (_TINY if preset == "tiny" else SIZES[size])


def of_length(fine_tuning_steps: int) -> dict[str, object]:
    """Return the settings of trainings with that many fine-tuning steps and half as many again before them."""
    return {
        "fine_tuning_steps": fine_tuning_steps,
        "pretraining_steps": round(_PRETRAINING_PER_FINE_TUNING * fine_tuning_steps),
    }
