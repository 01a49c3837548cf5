"""Processes that work for this one."""

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess

from likebut.errors import LikebutError
from likebut.research.ablations.material import Material
from likebut.research.ablations.plan import AblationSettings, Place, Training, plan, trainings
from likebut.research.ablations.runs import Runs


def end_with_parent() -> None:
    """End this process when its parent is killed: an orphan would go on working beside the next run."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


_PAUSE_SECONDS = 1.0


def do_side_by_side(place: Place, settings: AblationSettings, jobs: int) -> None:
    """Do every training that is not done, ``jobs`` at a time; the texts that they read must be written already.

    On a GPU, whose steps of a small model wait for the processor, several trainings take little longer than one.

    Raises:
        LikebutError: A process ended before its time; what others finished stays, and the same call goes on.
    """
    # Spawned, because a forked process cannot use a GPU that its parent has touched.
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(place, settings), daemon=True) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    _wait_for(workers)
    failed = sum(worker.exitcode != 0 for worker in workers)
    if failed:
        raise LikebutError(f"{failed} of {jobs} processes failed; what they said is above.", "Try again with --jobs 1.")


def _wait_for(workers: Sequence[SpawnProcess]) -> None:
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        # A terminal's Ctrl-C has reached them too; each writes a checkpoint, for which this process must stay.
        for worker in workers:
            worker.join()
        raise


def _work(place: Place, settings: AblationSettings) -> None:
    end_with_parent()
    try:
        runs = Runs(place, settings, Material(place, settings))
        wanted = trainings(plan(settings))
        while not _round(runs, wanted):
            time.sleep(_PAUSE_SECONDS)
    except LikebutError as error:
        print(f"likebut: {error.problem} {error.remedy}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _round(runs: Runs, wanted: Sequence[Training]) -> bool:
    """Do what can be done now and no other process is at; return whether everything is done."""
    complete = True
    for training in wanted:
        ready = training.start is None or runs.result(training.start) is not None
        done = runs.result(training) or (runs.do_unless_taken(training) if ready else None)
        complete = complete and done is not None
    return complete
