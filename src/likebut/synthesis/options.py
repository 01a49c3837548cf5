"""What ``likebut synthesize`` is told about writing and filtering, and the job it becomes."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.models.devices import require_device
from likebut.recipes.schema import Precision
from likebut.retriever.retriever import Retriever
from likebut.settings import parse_settings
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job
from likebut.synthesis.run import run_precision
from likebut.synthesis.writing import WritingSettings

_HERE = "The command line"


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """The options as they were given; their meaning is in the command's help."""

    generator: str
    retriever: str | None
    length: str | None
    decoding: str | None
    beams: int
    seed: int
    round_trip_rank: int
    same_text_share: float | None
    blocklist: Path | None
    log_probability: bool
    shard_size: int
    batch_size: int
    precision: str
    device: str | None
    features: Path | None
    refilter: bool

    def job(self, out: Path, same_text_share: float | None) -> Job:
        """Check the options, load generator and retriever, and return the job.

        Args:
            out: The run's folder.
            same_text_share: What ``--same-text-share`` is where it was not given.

        Raises:
            InputError: An option's value is wrong, or a model cannot be loaded.
        """
        self._writing(out, self.decoding or Decoding().method)  # a wrong option is said before a model is loaded
        share = same_text_share if self.same_text_share is None else self.same_text_share
        strictness = {"round_trip_rank": self.round_trip_rank, "same_text_share": share}
        filters = parse_settings(FilterSettings, strictness, _HERE)
        blocklist = Blocklist.load(self.blocklist)
        generator = ModificationGenerator.from_pretrained(self.generator, self.device)
        return Job(
            generator=generator,
            retriever=Retriever.from_pretrained(self.retriever, self.device) if self.retriever else None,
            writing=self._writing(out, self.decoding or generator.config.default_decoding),
            filters=filters,
            blocklist=blocklist,
            refilter=self.refilter,
            feature_folder=self.features,
        )

    def _writing(self, out: Path, method_name: str) -> WritingSettings:
        method = {"method": method_name, "beams": self.beams, "seed": self.seed}
        decoding = parse_settings(Decoding, method, _HERE)
        # Beams, as published, have bounds of their own: of 1 to 40 tokens.
        length = self.length or (None if decoding.method == "beam" else "medium")
        settings = {
            "decoding": decoding if length is None else decoding.with_length(length),
            "log_probability": self.log_probability,
            "shard_size": self.shard_size,
            "batch_size": self.batch_size,
            "precision": run_precision(out, cast(Precision, self.precision), require_device(self.device)),
        }
        return parse_settings(WritingSettings, settings, _HERE)
