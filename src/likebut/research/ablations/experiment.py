"""All of the ablations: every training once, then the outcome."""

import platform
from collections.abc import Callable
from typing import Any

import torch

import likebut
from likebut.models.model_folder import find_model_folder
from likebut.research.ablations.material import Material
from likebut.research.ablations.plan import AblationSettings, Place, Training, plan, trainings
from likebut.research.ablations.results import Outcome, outcome_of
from likebut.research.ablations.runs import Result, Runs
from likebut.research.child_processes import do_side_by_side
from likebut.retriever.retriever import Retriever


class Experiment:
    """One call of the ablations.

    Args:
        place: Where the data is, and where everything goes.
        settings: What to run.
        say: Called with one line at the beginning of each training.
    """

    def __init__(self, place: Place, settings: AblationSettings, say: Callable[[str], None]) -> None:
        self._place, self._settings, self._say = place, settings, say
        self._ablations = plan(settings)
        self._trainings = trainings(self._ablations)
        self._material = Material(place, settings)
        self._runs = Runs(place, settings, self._material)

    def run(self, jobs: int = 1) -> Outcome:
        """Do every training that is not done yet, and return what all came to.

        Args:
            jobs: Trainings at a time, each in a process of its own.

        Raises:
            MissingWeightsError: The preset's parts, or the generator's weights, are not on this machine.
            InputError: The data does not give what an ablation needs; before any long work where that can be known.
        """
        self._check()
        results: dict[Training, Result] = {}
        done_before = sum(self._runs.result(training) is not None for training in self._trainings)
        if jobs > 1 and done_before < len(self._trainings):
            self._material.write(self._trainings)
            do_side_by_side(self._place, self._settings, jobs)
        for number, training in enumerate(self._trainings, start=1):
            if self._runs.result(training) is None:
                self._say(f"training {number} of {len(self._trainings)}: {described(training)}")
            results[training] = self._runs.do(training)
        return Outcome(
            settings=self._settings,
            data=self._data(),
            machine=_machine(),
            ablations=tuple(outcome_of(ablation, results) for ablation in self._ablations),
            trainings=len(self._trainings),
            done_before=done_before,
            steps=sum(training.steps for training in self._trainings),
            seconds=round(sum(result.seconds for result in results.values()), 1),
        )

    def _check(self) -> None:
        Retriever.from_preset(self._settings.preset)
        if self._settings.init is not None:
            find_model_folder(self._settings.init, "retriever")
        if any(training.is_synthetic for training in self._trainings):
            find_model_folder(self._settings.generator, "generator")
        _ = self._runs.benchmarks
        self._material.check(self._trainings)

    def _data(self) -> dict[str, Any]:
        [benchmark] = self._runs.benchmarks
        return {
            "split": benchmark.split,
            "queries": len(benchmark.queries),
            "gallery": len(benchmark.gallery),
            "human_triplets": len(self._material.human),
        }


def described(training: Training) -> str:
    """Return what a training is, in a few words."""
    if training.is_synthetic:
        what = f"{training.amount:g} pools of texts from {training.texts}"
    else:
        before = "pretrained" if training.start else "not pretrained"
        weights = f"α {training.alpha:g}, λ {training.lambda_text:g}"
        what = f"{training.amount:.0%} of the human triplets, {before}, {weights}"
    return f"{what}, {training.kind}, seed {training.seed}"


def _machine() -> dict[str, str]:
    return {
        "processor": platform.processor() or platform.machine(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "likebut": likebut.__version__,
    }
