"""Which of several processes that train together this one is."""

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env


def this_process() -> PartialState:
    """Return accelerate's account of this process: its number, how many there are, its device.

    Everything in training asks here and never makes a bare ``PartialState()``: that one does not read the launcher's
    wish for processors, and would take several processes without a GPU for single ones.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
