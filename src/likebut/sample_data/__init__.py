"""The sample benchmark that likebut draws itself, and the grammar that its texts are written and read with."""

from likebut.sample_data.attributes import changes_between
from likebut.sample_data.grounding import Grounding, measure_grounding
from likebut.sample_data.parser import claimed_changes, parse_modification
from likebut.sample_data.sample import SampleCounts, SampleSettings, make_sample

__all__ = [
    "Grounding",
    "SampleCounts",
    "SampleSettings",
    "changes_between",
    "claimed_changes",
    "make_sample",
    "measure_grounding",
    "parse_modification",
]
