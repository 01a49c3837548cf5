"""The plan of the ablations: their settings, their rows, and the trainings that each row needs."""

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
Texts = Literal["human", "generator", "captions"]
"""The source of the modification texts: human, written by the generator, or composed from two captions."""

Size = Annotated[float, Field(ge=0, le=16)]
Weight = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]

WITH, WITHOUT = "with MTST pretraining", "without"
CONTROL = "without, as many steps in all"

_PRETRAINING_PER_FINE_TUNING = 1.5


class AblationSettings(BaseModel):
    """Everything that the ablations' metrics depend on, except the data.

    Attributes:
        preset: The preset of the pretrained parts.
        generator: The generator of the synthetic texts: a name or a folder.
        init: A trained retriever that initialises every training; the preset's own parts if None.
        split: The split of the evaluation.
        pool_split: The split from whose images the pool of unannotated pairs is mined.
        only: The ablations to run.
        seeds: Number of trainings of each row, with seeds 0, 1, 2, …
        pool: Number of pairs in one pool.
        pairs: The mining of pairs; ``limit`` is ignored.
        decoding: The decoding of the synthetic texts.
        sizes: Amounts of synthetic data, in pools.
        alphas: Values of α.
        human_shares: Fractions of the human triplets.
        alpha: α in all other ablations.
        lambda_text: λ in all other ablations.
        pretraining_steps: Steps on synthetic triplets, whatever their amount.
        fine_tuning_steps: Steps on human triplets, in every row.
        batch_size: Triplets in a step.
        pretraining_learning_rate: Learning rate on synthetic triplets.
        fine_tuning_learning_rate: Learning rate on human triplets, with and without pretraining.
        controls: Whether to add rows without pretraining that are fine-tuned for the steps of both stages, so that a
            longer training is not mistaken for a better one.
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
    human_shares: tuple[Fraction, ...] = Field(default=(0.1, 0.3, 1.0), min_length=1)
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
        """The number of pools to synthesise: the largest row's, and at least the one that all other rows use."""
        return max((1.0, *self.sizes))


@dataclass(frozen=True)
class AblationFolders:
    """The folders of the ablations.

    Attributes:
        data: The data folder for training and evaluation.
        out: The output folder.
        also: Further data folders whose training triplets are all added to every fine-tuning.
        features: Folder of the feature caches; in the user's cache folder if None.
    """

    data: DataFolder
    out: Path
    also: tuple[Path, ...] = ()
    features: Path | None = None


SIZES: dict[str, dict[str, object]] = {
    "full": {},
    "half": {"pool": 2000, "pretraining_steps": 300, "fine_tuning_steps": 200},
    "quick": {"pool": 400, "pretraining_steps": 60, "fine_tuning_steps": 40},
}
"""The settings of each ``--size``."""

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
    """Return the settings of a size; those of the preset "tiny" test in seconds that everything runs."""
    return {"preset": preset} | (_TINY if preset == "tiny" else SIZES[size])


def with_fine_tuning_steps(fine_tuning_steps: int) -> dict[str, object]:
    """Return the settings for a number of fine-tuning steps, with 1.5 times as many pretraining steps."""
    return {
        "fine_tuning_steps": fine_tuning_steps,
        "pretraining_steps": round(_PRETRAINING_PER_FINE_TUNING * fine_tuning_steps),
    }


@dataclass(frozen=True, slots=True)
class Training:
    """One training, initialised from another one or from the retriever of the settings.

    Attributes:
        amount: A fraction of the human triplets, or a number of pools of synthetic ones.
        start: The training that initialises it, if any.
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
        """This training and those before it, in order."""
        return (self,) if self.start is None else (*self.start.chain, self)

    @property
    def total_steps(self) -> int:
        """The number of steps of the whole chain."""
        return sum(training.steps for training in self.chain)

    @property
    def is_synthetic(self) -> bool:
        """Whether it is a pretraining on synthetic triplets, from whose weights another training may start."""
        return self.texts != "human"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an ablation's table, and a point of its figure.

    Attributes:
        series: The line of the figure that connects the point; empty if there is only one.
        x: The position on the axis; None if the rows have names and no numbers.
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
        axis: The label of ``x`` with its unit; empty if the rows have names.
    """

    name: Name
    title: str
    question: str
    axis: str
    rows: tuple[Row, ...]


def plan(settings: AblationSettings) -> list[Ablation]:
    """Return the ablations of ``settings``, each with its rows in the order of its table."""
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
    """Return every training once, after the one that initialises it, ordered by seed."""
    wanted = [training for ablation in ablations for row in ablation.rows for training in row.trainings]
    unique = dict.fromkeys(part for training in wanted for part in training.chain)
    return sorted(unique, key=lambda training: training.seed)


class _Rows:
    """Makes rows, a training for each seed."""

    def __init__(self, settings: AblationSettings) -> None:
        self._settings = settings

    def pretrained(self, label: str, size: float, x: float | None = None, texts: Texts = "generator") -> Row:
        """Return a row trained on synthetic triplets only."""
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
        """Return a row fine-tuned on human triplets after pretraining on ``size`` pools of synthetic ones.

        Args:
            label: As for :class:`Row`.
            size: In pools; 0 for no pretraining.
            x: As for :class:`Row`.
            series: As for :class:`Row`.
            texts: The source of the pretraining's texts.
            is_control: Whether it is fine-tuned for the steps of both stages.
            changes: Fields of the fine-tuning that differ from the settings: ``amount``, ``kind``, ``alpha``, ….
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
        default = Training(seed, "ptha", "human", 1.0, steps, rate, settings.alpha, settings.lambda_text)
        changed = replace(default, **changes)
        # Other retrievers have no prototype loss: a value that they do not read must not make trainings differ.
        return changed if changed.kind == "ptha" else replace(changed, alpha=0.0)

    def _pretraining(self, seed: int, size: float, texts: Texts, kind: Kind) -> Training:
        settings = self._settings
        steps, rate = settings.pretraining_steps, settings.pretraining_learning_rate
        return Training(seed, kind, texts, size, steps, rate, alpha=0.0, lambda_text=0.0)


def _synthetic_size(rows: _Rows, settings: AblationSettings) -> Ablation:
    points = [rows.fine_tuned(f"{size:g} × pool", size, x=size, series=WITH) for size in settings.sizes]
    if settings.controls:
        points.append(rows.fine_tuned(f"0, {CONTROL}", 0, x=0.0, series=CONTROL, is_control=True))
    return Ablation(
        "synthetic-size",
        "How many synthetic triplets",
        "Does retrieval improve with the number of synthetic triplets in pretraining?",
        "synthetic triplets (pools)",
        tuple(points),
    )


def _alpha(rows: _Rows, settings: AblationSettings) -> Ablation:
    return Ablation(
        "alpha",
        "The weight of the prototype loss",
        "Which weight α of the prototype loss is best? At 0 the loss is left out.",
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
                f"{100 * fraction:g} %, {series}",
                size,
                x=100 * fraction,
                series=series,
                amount=fraction,
                is_control=is_control,
            )
            for series, size, is_control in kinds
            for fraction in settings.human_shares
        ),
    )


def _zero_shot(rows: _Rows, settings: AblationSettings) -> Ablation:
    return Ablation(
        "zero-shot",
        "Zero shot",
        "How good is a retriever that is trained on synthetic triplets only?",
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
        "Are texts that the generator writes for two images better than texts composed from their captions? "
        "Both are for the same pairs.",
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
