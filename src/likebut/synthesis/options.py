"""Options of ``likebut synthesize``, and the job that they make."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from likebut.generator.generator import GeneratorConfig, ModificationGenerator
from likebut.models.devices import require_device
from likebut.recipes.schema import Precision
from likebut.retriever.retriever import Retriever
from likebut.settings import parse_settings
from likebut.synthesis.filters import Blocklist, FilterSettings
from likebut.synthesis.jobs import Job
from likebut.synthesis.run import run_precision
from likebut.synthesis.writing import WritingSettings

_SOURCE = "The command line"


@dataclass(frozen=True, slots=True)
class SynthesisOptions:
    """The options as given; the command's help describes them."""

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
        """Validate the options, load generator and retriever, and return the job.

        Args:
            out: The folder of the run.
            same_text_share: Default of ``--same-text-share``.

        Raises:
            InputError: An option is invalid, or a model cannot be loaded.
        """
        # Invalid options are reported before a model is loaded.
        self._writing(out, GeneratorConfig(preset="small"))
        share = same_text_share if self.same_text_share is None else self.same_text_share
        strictness = {"round_trip_rank": self.round_trip_rank, "same_text_share": share}
        filters = parse_settings(FilterSettings, strictness, _SOURCE)
        blocklist = Blocklist.load(self.blocklist)
        generator = ModificationGenerator.from_pretrained(self.generator, self.device)
        return Job(
            generator=generator,
            retriever=Retriever.from_pretrained(self.retriever, self.device) if self.retriever else None,
            writing=self._writing(out, generator.config),
            filters=filters,
            blocklist=blocklist,
            refilter=self.refilter,
            feature_folder=self.features,
        )

    def _writing(self, out: Path, config: GeneratorConfig) -> WritingSettings:
        settings = {
            "decoding": config.decoding(self.decoding, self.length, _SOURCE, beams=self.beams, seed=self.seed),
            "log_probability": self.log_probability,
            "shard_size": self.shard_size,
            "batch_size": self.batch_size,
            "precision": run_precision(out, cast(Precision, self.precision), require_device(self.device)),
        }
        return parse_settings(WritingSettings, settings, _SOURCE)
