"""``adapt``: a folder of images in, a retriever that knows them out.

Layout of a run's folder::

    adapt.json             the settings it was begun with
    stages/<name>/         one folder a stage; done when its complete.json exists
    retriever/             the result: RUN is given wherever a model is asked for
    result.json            metrics before and after, coverage, times, warnings
    report.html
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from likebut.adapt.base import Base, find_base
from likebut.adapt.choice import choose, save_chosen
from likebut.adapt.concepts import Concepts, Described
from likebut.adapt.measure import LABEL, PSEUDO_LABEL
from likebut.adapt.planning import plan as make_plan
from likebut.adapt.report import write_report
from likebut.adapt.result import BASE, RESULT_NAME, AdaptResult
from likebut.adapt.settings import AdaptSettings, Plan
from likebut.adapt.stages import OneRun, Stages
from likebut.adapt.teaching import pretrained, taught, with_names
from likebut.adapt.texts import Coverage, find_texts
from likebut.adapt.training import train
from likebut.adapt.work import Work, look, sample, split, with_looks
from likebut.data.folder import find_images
from likebut.data.images import SkippedImage
from likebut.data.triplets import ImageRef
from likebut.errors import InputError
from likebut.features.cache import FeatureCache, open_features
from likebut.files import fingerprint, require_output_folder, write_json
from likebut.progress import notice
from likebut.retriever.retriever import Retriever
from likebut.settings import parse_settings


class Adaptation:
    """One adaptation.

    Args:
        folder: The images, with whatever text they have.
        out: Where everything goes.
        settings: What to do.
        features: Where vision tokens are cached; in the user's cache folder if None.
        say: Called with a line at the beginning of each stage, and with what was found.
    """

    def __init__(
        self,
        folder: Path,
        out: Path,
        settings: AdaptSettings,
        features: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.folder, self.out, self.settings = folder, out, settings
        self._features, self._say = features, say

    def run(self) -> AdaptResult:
        """Do everything that is not done yet.

        Raises:
            InputError: The folder has no images, or a column does not exist.
            ResumeError: ``out`` holds a run with other settings.
        """
        images = find_images(self.folder)
        described, coverage = find_texts(self.folder, images, self.settings.text or None)
        require_output_folder(self.out, "the adaptation")
        self.out.mkdir(parents=True, exist_ok=True)
        base = find_base(self.settings.base, self.out)
        with OneRun(self.out):
            wanted = {**self.settings.model_dump(mode="json"), "folder": str(self.folder.resolve())}
            stages = Stages(self.out, {**wanted, "texts": fingerprint([_row(each) for each in described])}, self._say)
            for line in coverage.lines():
                self._say(line)
            return self._run(stages, images, described, coverage, base)

    def _run(
        self,
        stages: Stages,
        images: Sequence[ImageRef],
        described: Sequence[Described],
        coverage: Coverage,
        base: Base,
    ) -> AdaptResult:
        with_naming = self.settings.writer != "none" and 0 < coverage.with_text < coverage.images
        planned = stages.run(
            "plan",
            "measuring this machine",
            lambda _: make_plan(self.settings, base.load(), len(images), with_naming).model_dump(),
        )
        plan = Plan.model_validate(planned)
        warnings = list(coverage.warnings)
        chosen = sample(images, described, plan.most_images, self.settings.seed)
        if len(chosen) < len(images):
            warnings.append(
                f"{len(chosen)} of {len(images)} images were read, a random sample: more take more --minutes"
            )
        retriever = base.load()
        cache = open_features(retriever.vision, self._features)
        refs = [image for image in images if image.name in chosen]
        encoded = stages.run("tokens", "computing vision tokens", lambda _: self._encode(refs, retriever, cache))
        skipped = [SkippedImage(**each) for each in encoded["skipped"]]
        cache.learn_names(refs)
        unusable = {image.name for image in skipped}
        usable = [each for each in described if each.image in chosen and each.image not in unusable]
        told = stages.run("looks", "looking at colours", lambda _: look(usable, refs, cache, base))
        usable = [with_looks(each, told) for each in usable]
        if told["pseudo"]:
            warnings.append("no image has a text: names are guesses of the vision encoder's own classifier")
        by_name = {image.name: image for image in refs}
        work = split(
            usable, by_name, base, cache, plan, warnings, self.settings, self.out, self._features, told["pseudo"]
        )
        label = PSEUDO_LABEL if told["pseudo"] else LABEL
        return self._learn(stages, work, retriever, coverage, skipped, warnings, label)

    def _encode(self, refs: Sequence[ImageRef], retriever: Retriever, cache: FeatureCache) -> dict[str, Any]:
        skipped = cache.add(refs, retriever.vision)
        cache.require_read(refs)
        if len(skipped) == len(refs):
            raise InputError(
                f"None of the {len(refs)} images can be used; {skipped[0].name}: {skipped[0].reason}",
                "Give a folder of undamaged images.",
            )
        return {"skipped": [{"name": each.name, "reason": each.reason} for each in skipped]}

    def _learn(
        self,
        stages: Stages,
        work: Work,
        retriever: Retriever,
        coverage: Coverage,
        skipped: Sequence[SkippedImage],
        warnings: list[str],
        label: str,
    ) -> AdaptResult:
        def finish(kept: str, reason: str, weight: float, after: Mapping[str, Any], gain: Any) -> AdaptResult:
            result = AdaptResult(
                self.out, kept, reason, before, after, gain, weight, coverage, skipped, stages.seconds, warnings, label
            )
            write_json(self.out / RESULT_NAME, result.to_json())
            return result

        measured = stages.run("base", "measuring the base", lambda _: _measured(work, retriever))
        before = measured.get("metrics", {})
        written = taught(stages, work)
        known = with_names(stages, work, written) if work.unnamed else work.known
        start = pretrained(stages, work, known)
        trained = stages.run("training", "training the retriever", lambda place: self._train(work, known, start, place))
        if not trained["trained"]:
            retriever.save(self.out / "retriever")
            reason = "The folder's texts are too few or too much alike to learn from, so the base is kept."
            return finish(BASE, reason, 0.0, before, None)
        chosen = stages.run(
            "choice", "choosing between base and trained model", lambda _: choose(work, retriever, trained, measured)
        )
        if not (self.out / "retriever" / "config.json").is_file():
            save_chosen(work, chosen["weight"], retriever, trained)
        warnings += chosen["warnings"]
        return finish(chosen["kept"], chosen["reason"], chosen["weight"], chosen["after"], chosen["gain"])

    def _train(self, work: Work, known: Concepts, start: Base, place: Path) -> dict[str, Any]:
        run = train(known, work.images, work.cache, start, self.settings, work.plan, place, self._features)
        if run is None:
            return {"trained": False}
        return {"trained": True, "folder": str(place.relative_to(self.out)), "triplets": run.triplets}


def _measured(work: Work, retriever: Retriever) -> dict[str, Any]:
    if work.ruler is None:
        return {}
    found = work.ruler.measure(retriever, work.cache, work.plan.precision)
    return {"metrics": found.to_json(), **found.dump()}


def _row(each: Described) -> list[Any]:
    return [each.image, each.names, each.prose, sorted(each.attributes.items())]


def adapt(
    folder: Path | str,
    out: Path | str,
    base: str = "small",
    text: Sequence[str] | None = None,
    minutes: float = 15.0,
    gallery: Path | str | None = None,
    writer: str = "auto",
    seed: int = 0,
    show_progress: bool = False,
    features: Path | str | None = None,
    say: Callable[[str], None] | None = None,
    **changes: Any,
) -> AdaptResult:
    """Adapt a retriever to the images in a folder, by whatever text they have.

    Killed at any moment and called again with the same arguments, it goes on from there.

    Args:
        folder: The images, in folders or not; with a metadata file, captions, or nothing.
        out: Where the run lives; afterwards given wherever a model is asked for.
        base: What to start from: published weights, a trained retriever's folder, or a preset.
        text: Metadata columns to read; chosen by the rule in ``adapt/columns.py`` if None.
        minutes: Roughly how long it may take on this machine.
        gallery: A gallery to index with the result.
        writer: Who names images without text: "auto", "retriever", "generator" or "none".
        seed: Of every choice.
        show_progress: Whether stages are told on standard error.
        features: Where vision tokens are cached; in the user's cache folder if None.
        say: What is called with each line instead.
        changes: Other fields of :class:`AdaptSettings`.

    Raises:
        InputError: The folder has no images, or a column does not exist.
        ResumeError: ``out`` holds a run with other settings.
    """
    said = {"base": str(base), "text": tuple(text or ()), "minutes": minutes, "writer": writer, "seed": seed, **changes}
    settings = parse_settings(AdaptSettings, said, "the call of adapt")
    told = say or (notice if show_progress else (lambda _: None))
    adaptation = Adaptation(Path(folder), Path(out), settings, Path(features) if features else None, told)
    result = adaptation.run()
    write_report(result)
    if gallery is not None:
        index_gallery(Path(folder), result, str(gallery))
    return result


def index_gallery(folder: Path, result: AdaptResult, location: str) -> int:
    """Make the gallery at ``location`` hold ``folder`` as the result sees it; returns how many images it has.

    A gallery of another retriever is emptied first: its embeddings cannot be compared with the result's.
    """
    from likebut.gallery.gallery import Gallery
    from likebut.gallery.lance_tables import remove_gallery

    retriever = result.retriever
    try:
        gallery = Gallery.open(location, retriever)
    except InputError:
        remove_gallery(location)
        gallery = Gallery.open(location, retriever)
    with gallery:
        gallery.store.set_setting("model", str(result.folder.absolute()))
        gallery.synchronise(folder, None, progress=True)
        gallery.optimise()
        return len(gallery)
