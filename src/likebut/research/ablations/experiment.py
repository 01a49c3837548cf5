"""Running all ablations: every training once, then the results."""

import platform
from collections.abc import Callable
from typing import Any

import torch

import likebut
from likebut.models.model_folder import find_model_folder
from likebut.research.ablations.data import AblationData
from likebut.research.ablations.plan import AblationFolders, AblationSettings, Training, plan, trainings
from likebut.research.ablations.results import AblationOutcomes, outcome_of
from likebut.research.ablations.runs import TrainingResult, TrainingRuns
from likebut.research.ablations.workers import run_in_parallel
from likebut.retriever.retriever import Retriever


class Experiment:
    """One run of the ablations.

    Args:
        folders: The folders of the ablations.
        settings: Their settings.
        on_training: Called with a description at the start of each training.
    """

    def __init__(
        self, folders: AblationFolders, settings: AblationSettings, on_training: Callable[[str], None]
    ) -> None:
        self._folders, self._settings, self._on_training = folders, settings, on_training
        self._ablations = plan(settings)
        self._trainings = trainings(self._ablations)
        self._data = AblationData(folders, settings)
        self._runs = TrainingRuns(folders, settings, self._data)

    def run(self, jobs: int = 1) -> AblationOutcomes:
        """Run every unfinished training and return the results.

        Args:
            jobs: Number of parallel trainings, each in its own process.

        Raises:
            MissingWeightsError: The preset's parts, or the generator's weights, are not on this machine.
            InputError: The data is insufficient for an ablation; raised before any long work if possible.
        """
        self._check()
        results: dict[Training, TrainingResult] = {}
        done_before = sum(self._runs.result(training) is not None for training in self._trainings)
        if jobs > 1 and done_before < len(self._trainings):
            self._data.write(self._trainings)
            run_in_parallel(self._folders, self._settings, jobs)
        for number, training in enumerate(self._trainings, start=1):
            if self._runs.result(training) is None:
                self._on_training(f"training {number} of {len(self._trainings)}: {described(training)}")
            results[training] = self._runs.run(training)
        return AblationOutcomes(
            settings=self._settings,
            data=self._describe_data(),
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
        self._data.check(self._trainings)

    def _describe_data(self) -> dict[str, Any]:
        [benchmark] = self._runs.benchmarks
        return {
            "split": benchmark.split,
            "queries": len(benchmark.queries),
            "gallery": len(benchmark.gallery),
            "human_triplets": len(self._data.human),
        }


def described(training: Training) -> str:
    """Return a short description of a training."""
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
