"""What the ablations are run with, and how large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from likebut.data.folder import DataFolder
from likebut.generator.decoding import Decoding
from likebut.recipes.schema import Kind
from likebut.synthesis.mining import PairSettings

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


def with_fine_tuning_steps(fine_tuning_steps: int) -> dict[str, object]:
    """Return the settings of trainings with that many fine-tuning steps and half as many again before them."""
    return {
        "fine_tuning_steps": fine_tuning_steps,
        "pretraining_steps": round(_PRETRAINING_PER_FINE_TUNING * fine_tuning_steps),
    }


Texts = Literal["human", "generator", "captions"]
"""Whose modification texts are learnt from: people's, the generator's, or those composed from two captions."""


@dataclass(frozen=True, slots=True)
class Training:
    """One training; what it starts from is another, or the retriever that all start from.

    Attributes:
        amount: Of human triplets a share; of synthetic ones a number of pools.
        start: The training before it, if any.
    """

    seed: int
    kind: Kind
    texts: Texts
    amount: float
    steps: int
    learning_rate: float
    alpha: float
    lambda_text: float
    start: "Training | None" = None

    @property
    def chain(self) -> "tuple[Training, ...]":
        """This training and those before it, the first one first."""
        return (self,) if self.start is None else (*self.start.chain, self)

    @property
    def total_steps(self) -> int:
        """The steps of the whole chain."""
        return sum(training.steps for training in self.chain)

    @property
    def is_synthetic(self) -> bool:
        """Whether it learns from written triplets: another training may start from its weights."""
        return self.texts != "human"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an ablation's table, a point of its figure.

    Attributes:
        series: The line in the figure that the point is on; empty where there is one alone.
        x: Its place on the axis; None where rows are named and not numbered.
        trainings: One for each seed.
    """

    label: str
    series: str
    x: float | None
    trainings: tuple[Training, ...]


@dataclass(frozen=True, slots=True)
class Ablation:
    """A question, and the rows that answer it.

    Attributes:
        axis: What ``x`` is, with its unit; empty where rows are named.
    """

    name: Name
    title: str
    question: str
    axis: str
    rows: tuple[Row, ...]


def plan(settings: AblationSettings) -> list[Ablation]:
    """Return the ablations that ``settings`` ask for, each with its rows in the order of its table."""
    makers = {
        "synthetic-size": _synthetic_size,
        "alpha": _alpha,
        "data-efficiency": _data_efficiency,
        "zero-shot": _zero_shot,
        "text-source": _text_source,
        "hops-and-losses": _hops_and_losses,
    }
    rows = _Rows(settings)
    return [make(rows, settings) for name, make in makers.items() if name in settings.only]


def trainings(ablations: Sequence[Ablation]) -> list[Training]:
    """Return every training once, each after the one it starts from, and all of one seed before the next seed's."""
    wanted = [training for ablation in ablations for row in ablation.rows for training in row.trainings]
    different = dict.fromkeys(part for training in wanted for part in training.chain)
    return sorted(different, key=lambda training: training.seed)


class _Rows:
    """Makes rows, a training for each seed."""

    def __init__(self, settings: AblationSettings) -> None:
        self._settings = settings

    def pretrained(self, label: str, size: float, x: float | None = None, texts: Texts = "generator") -> Row:
        """A row of synthetic triplets alone."""
        return Row(label, "", x, tuple(self._pretraining(seed, size, texts, "ptha") for seed in self._seeds))

    def fine_tuned(
        self,
        label: str,
        size: float = 1.0,
        x: float | None = None,
        series: str = "",
        texts: Texts = "generator",
        is_control: bool = False,
        **changes: Any,
    ) -> Row:
        """A row of human triplets after ``size`` pools of synthetic ones.

        Args:
            label: As for :class:`Row`.
            size: In pools; 0 for no pretraining.
            x: As for :class:`Row`.
            series: As for :class:`Row`.
            texts: Of the pretraining.
            is_control: Whether it is trained for the steps of both stages.
            changes: Fields of the fine-tuning that are not the settings': ``amount``, ``kind``, ``alpha``, ….
        """
        trainings = (self._fine_tuning(seed, is_control, changes) for seed in self._seeds)
        if size:
            trainings = (
                replace(tuning, start=self._pretraining(tuning.seed, size, texts, tuning.kind)) for tuning in trainings
            )
        return Row(label, series, x, tuple(trainings))

    @property
    def _seeds(self) -> range:
        return range(self._settings.seeds)

    def _fine_tuning(self, seed: int, is_control: bool, changes: Mapping[str, Any]) -> Training:
        settings = self._settings
        steps = settings.fine_tuning_steps + (settings.pretraining_steps if is_control else 0)
        rate = settings.fine_tuning_learning_rate
        usual = Training(seed, "ptha", "human", 1.0, steps, rate, settings.alpha, settings.lambda_text)
        changed = replace(usual, **changes)
        # Other retrievers have no prototypes: what they do not read must not tell trainings apart.
        return changed if changed.kind == "ptha" else replace(changed, alpha=0.0)

    def _pretraining(self, seed: int, size: float, texts: Texts, kind: Kind) -> Training:
        settings = self._settings
        steps, rate = settings.pretraining_steps, settings.pretraining_learning_rate
        return Training(seed, kind, texts, size, steps, rate, alpha=0.0, lambda_text=0.0)


WITH, WITHOUT = "with MTST pretraining", "without"
CONTROL = "without, as many steps in all"


def _synthetic_size(rows: _Rows, settings: AblationSettings) -> Ablation:
    found = [rows.fine_tuned(f"{size:g} × pool", size, x=size, series=WITH) for size in settings.sizes]
    if settings.controls:
        found.append(rows.fine_tuned(f"0, {CONTROL}", 0, x=0.0, series=CONTROL, is_control=True))
    return Ablation(
        "synthetic-size",
        "How many synthetic triplets",
        "Does retrieval improve with the number of synthetic triplets it is pretrained on?",
        "synthetic triplets (pools)",
        tuple(found),
    )


def _alpha(rows: _Rows, settings: AblationSettings) -> Ablation:
    return Ablation(
        "alpha",
        "The weight of the prototype loss",
        "Which α, the weight of the prototype loss, is best? At 0 the loss is left out.",
        "α (weight, no unit)",
        tuple(rows.fine_tuned(f"α = {alpha:g}", x=alpha, alpha=alpha) for alpha in settings.alphas),
    )


def _data_efficiency(rows: _Rows, settings: AblationSettings) -> Ablation:
    kinds = [(WITH, 1.0, False), (WITHOUT, 0.0, False)] + ([(CONTROL, 0.0, True)] if settings.controls else [])
    return Ablation(
        "data-efficiency",
        "How many human triplets",
        "How many human triplets does pretraining on synthetic ones save?",
        "human triplets (%)",
        tuple(
            rows.fine_tuned(
                f"{100 * share:g} %, {series}", size, x=100 * share, series=series, amount=share, is_control=is_control
            )
            for series, size, is_control in kinds
            for share in settings.human_shares
        ),
    )


def _zero_shot(rows: _Rows, settings: AblationSettings) -> Ablation:
    return Ablation(
        "zero-shot",
        "Zero shot",
        "How well does a retriever do that saw synthetic triplets alone?",
        "synthetic triplets (pools)",
        tuple(rows.pretrained(f"{size:g} × pool", size, x=size) for size in settings.sizes if size),
    )


def _text_source(rows: _Rows, settings: AblationSettings) -> Ablation:
    sources: tuple[Texts, ...] = ("generator", "captions")
    tuned = [rows.fine_tuned(f"texts from the {texts}, then fine-tuned", texts=texts) for texts in sources]
    alone = [rows.pretrained(f"texts from the {texts}, zero shot", 1.0, texts=texts) for texts in sources]
    return Ablation(
        "text-source",
        "Where the synthetic texts come from",
        "Are texts that a generator wrote about two images better than texts composed from their captions? "
        "Both were written about the same pairs.",
        "",
        (*tuned, *alone),
    )


def _hops_and_losses(rows: _Rows, settings: AblationSettings) -> Ablation:
    return Ablation(
        "hops-and-losses",
        "Hops and losses",
        "What do the second hop, the prototype loss and the text-only loss each bring? One hop has no prototypes.",
        "",
        (
            rows.fine_tuned("two hops, all losses"),
            rows.fine_tuned("two hops, no text-only loss (λ = 0)", lambda_text=0.0),
            rows.fine_tuned("two hops, no prototype loss (α = 0)", alpha=0.0),
            rows.fine_tuned("one hop", kind="one-hop"),
            rows.fine_tuned("one hop, no text-only loss (λ = 0)", kind="one-hop", lambda_text=0.0),
        ),
    )


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
