"""The results of the ablations: mean and standard deviation for each row, and their JSON form."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from likebut.research.ablations.plan import Ablation, AblationSettings, Row, Training
from likebut.research.ablations.runs import TrainingResult


@dataclass(frozen=True)
class SeedValues:
    """The values of a metric over the seeds, in percent.

    Attributes:
        values: One for each seed.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return fmean(self.values)

    @property
    def standard_deviation(self) -> float | None:
        """Their sample standard deviation; None with one seed."""
        return stdev(self.values) if len(self.values) > 1 else None

    @property
    def range(self) -> tuple[float, float]:
        """The minimum and the maximum."""
        return min(self.values), max(self.values)

    def to_json(self) -> dict[str, Any]:
        """Return values, mean, standard deviation and range."""
        return {
            "values": list(self.values),
            "mean": self.mean,
            "standard_deviation": self.standard_deviation,
            "range": list(self.range),
        }


@dataclass(frozen=True)
class RowOutcome:
    """The result of a row.

    Attributes:
        steps: Number of steps of pretraining and fine-tuning.
        pretraining_steps: Number of those on synthetic triplets.
        human: Number of human triplets, those of further folders included; the mean over seeds.
        synthetic: Number of synthetic triplets; the mean over seeds.
        metrics: Metric name → values in percent.
    """

    label: str
    series: str
    x: float | None
    steps: int
    pretraining_steps: int
    human: int
    synthetic: int
    metrics: Mapping[str, SeedValues]

    def to_json(self) -> dict[str, Any]:
        """Return the row for ``results.json``."""
        return asdict(self) | {"metrics": {name: values.to_json() for name, values in self.metrics.items()}}


@dataclass(frozen=True)
class AblationOutcome:
    """The result of an ablation; title and question are those of the plan."""

    name: str
    title: str
    question: str
    axis: str
    rows: tuple[RowOutcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the ablation for ``results.json``."""
        return asdict(self) | {"rows": [row.to_json() for row in self.rows]}


@dataclass(frozen=True)
class AblationOutcomes:
    """The results of all ablations.

    Attributes:
        data: The split and the sizes of the data.
        machine: The machine of this call.
        trainings: Number of trainings.
        done_before: Number of trainings that an earlier call had finished.
        steps: Number of training steps.
        seconds: Duration of all trainings, those of earlier calls included.
    """

    settings: AblationSettings
    data: Mapping[str, Any]
    machine: Mapping[str, str]
    ablations: tuple[AblationOutcome, ...]
    trainings: int
    done_before: int
    steps: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``results.json``."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "data": dict(self.data),
            "machine": dict(self.machine),
            "trainings": self.trainings,
            "steps": self.steps,
            "seconds": self.seconds,
            "ablations": [ablation.to_json() for ablation in self.ablations],
        }


def outcome_of(ablation: Ablation, results: Mapping[Training, TrainingResult]) -> AblationOutcome:
    """Return the result of an ablation whose trainings are all done."""
    rows = tuple(_row(row, results) for row in ablation.rows)
    return AblationOutcome(ablation.name, ablation.title, ablation.question, ablation.axis, rows)


def _row(row: Row, results: Mapping[Training, TrainingResult]) -> RowOutcome:
    measured = [results[training].metrics for training in row.trainings]
    shared = [name for name in measured[0] if all(name in metrics for metrics in measured)]
    chain = row.trainings[0].chain
    return RowOutcome(
        label=row.label,
        series=row.series,
        x=row.x,
        steps=row.trainings[0].total_steps,
        pretraining_steps=sum(training.steps for training in chain if training.is_synthetic),
        human=_mean_triplets(row.trainings, results, synthetic=False),
        synthetic=_mean_triplets(row.trainings, results, synthetic=True),
        metrics={name: SeedValues(tuple(metrics[name] for metrics in measured)) for name in shared},
    )


def _mean_triplets(trainings: Sequence[Training], results: Mapping[Training, TrainingResult], synthetic: bool) -> int:
    chains = [[part for part in training.chain if part.is_synthetic == synthetic] for training in trainings]
    return round(fmean(sum(results[part].triplets for part in chain) for chain in chains))
