"""A program that runs ``likebut`` commands in child processes, so that a test can kill them.

It imports slow modules once and forks, so that each child starts at once. It prints "ready", then reads one command
per line of standard input, as JSON, and prints how the child ended.
"""

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence

from likebut.cli.main import main

SLOW_TO_IMPORT = (
    "likebut.cli.synthesize",
    "likebut.training.evaluation",
    "likebut.training.train_retriever",
    "torch.utils.tensorboard",
    "transformers.models.llama.modeling_llama",
)


def run_command(arguments: Sequence[str], home: str) -> int:
    """Run the command silently with its own cache folder and return its exit code."""
    os.environ["LIKEBUT_HOME"] = home
    sys.argv = ["likebut", *arguments]
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def run_in_child(arguments: Sequence[str], home: str, kill_after: float | None) -> int:
    """Run the command in a child and return how it ended: its exit code, or the negative number of a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = run_command(arguments, home)
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        # Until it is waited for, a child that has ended keeps its process id, so no other process can be hit.
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve() -> None:
    """Run commands until standard input ends."""
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        print(run_in_child(**json.loads(line)), flush=True)


if __name__ == "__main__":
    serve()
