"""Running the trainings of the ablations in several processes."""

import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess

from likebut.errors import LikebutError
from likebut.research.ablations.data import AblationData
from likebut.research.ablations.plan import AblationFolders, AblationSettings, Training, plan, trainings
from likebut.research.ablations.runs import TrainingRuns
from likebut.research.child_processes import end_with_parent

_PAUSE_SECONDS = 1.0


def run_in_parallel(folders: AblationFolders, settings: AblationSettings, jobs: int) -> None:
    """Run every unfinished training, ``jobs`` at a time; the texts that they read must have been written.

    On a GPU, where the steps of a small model wait for the CPU, several trainings take little longer than one.

    Raises:
        LikebutError: A process failed. Finished trainings are kept, and the same call resumes.
    """
    # Spawned, because a forked process cannot use a GPU that its parent has initialised.
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(folders, settings), daemon=True) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    _wait_for(workers)
    failed = sum(worker.exitcode != 0 for worker in workers)
    if failed:
        raise LikebutError(
            f"{failed} of {jobs} processes failed; their messages are above.",
            "Try again with --jobs 1.",
            code="worker-failed",
        )


def _wait_for(workers: Sequence[SpawnProcess]) -> None:
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        # Ctrl-C on a terminal has reached the workers too; wait until each has written its checkpoint.
        for worker in workers:
            worker.join()
        raise


def _work(folders: AblationFolders, settings: AblationSettings) -> None:
    end_with_parent()
    try:
        runs = TrainingRuns(folders, settings, AblationData(folders, settings))
        pending = trainings(plan(settings))
        while not _run_available(runs, pending):
            time.sleep(_PAUSE_SECONDS)
    except LikebutError as error:
        print(f"likebut: {error.problem} {error.remedy}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _run_available(runs: TrainingRuns, pending: Sequence[Training]) -> bool:
    """Run the trainings whose start is done and that no other process runs; return whether all are done."""
    complete = True
    for training in pending:
        ready = training.start is None or runs.result(training.start) is not None
        done = runs.result(training) or (runs.run_unless_locked(training) if ready else None)
        complete = complete and done is not None
    return complete
