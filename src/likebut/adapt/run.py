"""``adapt``: a folder of images in, a retriever that knows them out.

Layout of a run's folder::

    adapt.json             the settings it was begun with
    stages/<name>/         one folder a stage; done when its complete.json exists
    retriever/             the result: RUN is given wherever a model is asked for
    result.json            metrics before and after, coverage, times, warnings
    report.html
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import torch

from likebut.adapt.base import Base, find_base
from likebut.adapt.colours import agreed_colours, colours_around, colours_of
from likebut.adapt.concepts import Concepts, Described, key_of
from likebut.adapt.holdout import LEAST_IMAGES, split_images
from likebut.adapt.interpolation import choose_weight, copied_state, distinct_weights, interpolate
from likebut.adapt.measure import LABEL, MAIN_METRIC, PSEUDO_LABEL, Measured, Ruler, gain_interval, make_ruler
from likebut.adapt.naming import Named, as_described, name_images, trusted_names
from likebut.adapt.planning import plan as make_plan
from likebut.adapt.pseudo import can_classify, class_probabilities, neighbours_in, pseudo_names
from likebut.adapt.settings import AdaptSettings, Plan
from likebut.adapt.stages import OneRun, Stages
from likebut.adapt.texts import Coverage, find_texts
from likebut.adapt.training import pretrain, train
from likebut.adapt.writing import adapt_generator, generator_steps, with_namesakes, write_names, write_pairs
from likebut.backbones.preset import load_preset
from likebut.errors import InputError
from likebut.files import fingerprint, read_json, require_output_folder, write_json
from likebut.generator.generator import ModificationGenerator
from likebut.images import SetAside
from likebut.retriever.retriever import Retriever
from likebut.synthesis.image_folder import find_images
from likebut.training.data import open_features
from likebut.training.features import FeatureCache
from likebut.training.image_vectors import frozen_vectors
from likebut.training.precision import autocast
from likebut.triplets import ImageRef, Triplet, read_triplets, write_triplets

BASE, ADAPTED = "base", "adapted"
_PANELS, _HITS = 8, 6
PAIRS_PER_STEP = 4
GENERATOR_MINUTES = 40.0
"""From how much time on "auto" lets the generator learn the collection too."""


@dataclass(frozen=True)
class AdaptResult:
    """What an adaptation came to.

    Attributes:
        folder: The run's; given wherever a model is asked for.
        kept: "adapted" or "base": the base is kept where the metrics did not improve.
        reason: Why, in a sentence.
        before: The base's metrics on held-out images, with intervals; empty if nothing could be measured.
        after: Likewise the result's.
        gain: The 95 % interval of the paired difference of mAP@10, in points.
        weight: How far the result stands between base (0) and trained model (1).
        coverage: Which texts there were.
        skipped: Images that could not be used.
        seconds: Of each stage.
        warnings: What a reader should know.
        measured_on: What the metrics are of.
    """

    folder: Path
    kept: str
    reason: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    gain: tuple[float, float] | None
    weight: float
    coverage: Coverage
    skipped: Sequence[SetAside]
    seconds: Mapping[str, float]
    warnings: Sequence[str]
    measured_on: str = LABEL

    @property
    def retriever(self) -> Retriever:
        """The result."""
        return Retriever.from_pretrained(self.folder)

    def to_json(self) -> dict[str, Any]:
        """Return the result as ``result.json`` holds it."""
        return {
            "model": str(self.folder),
            "kept": self.kept,
            "reason": self.reason,
            "measured_on": self.measured_on,
            "before": dict(self.before),
            "after": dict(self.after),
            "gain interval": list(self.gain) if self.gain else None,
            "weight": self.weight,
            "coverage": self.coverage.to_json(),
            "skipped": [image.to_json() for image in self.skipped],
            "seconds": dict(self.seconds),
            "warnings": list(self.warnings),
        }


@dataclass
class _Work:
    """What the stages share.

    Attributes:
        known: Images to learn from, with their texts.
        unnamed: Images to learn from without text.
        ruler: Measures on held-out images; None where there are too few.
    """

    images: dict[str, ImageRef]
    base: Base
    cache: FeatureCache
    plan: Plan
    known: Concepts
    unnamed: list[str]
    ruler: Ruler | None


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
        chosen = _sample(images, described, plan.most_images, self.settings.seed)
        if len(chosen) < len(images):
            warnings.append(
                f"{len(chosen)} of {len(images)} images were read, a random sample: more take more --minutes"
            )
        retriever = base.load()
        cache = open_features(retriever.vision, self._features)
        refs = [image for image in images if image.name in chosen]
        encoded = stages.run("tokens", "computing vision tokens", lambda _: self._encode(refs, retriever, cache))
        skipped = [SetAside(**each) for each in encoded["skipped"]]
        cache.learn_names(refs)
        unusable = {image.name for image in skipped}
        usable = [each for each in described if each.image in chosen and each.image not in unusable]
        told = stages.run("looks", "looking at colours", lambda _: self._look(usable, refs, cache, base))
        usable = [_with_looks(each, told) for each in usable]
        if told["pseudo"]:
            warnings.append("no image has a text: names are guesses of the vision encoder's own classifier")
        work = self._split(stages, usable, {image.name: image for image in refs}, base, cache, plan, warnings)
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

    def _look(
        self, usable: Sequence[Described], refs: Sequence[ImageRef], cache: FeatureCache, base: Base
    ) -> dict[str, Any]:
        """Return what is seen of each image: its name's colour; where no image has a text, a class name too."""
        names = [each.image for each in usable]
        paths = {image.name: image.path for image in refs}
        colours = colours_of({name: paths[name] for name in names})
        if any(each.has_text for each in usable):
            firsts = {each.image: key_of(each.names[0]) for each in usable if each.names}
            return {"colours": agreed_colours(firsts, colours), "classes": {}, "pseudo": False}
        if len(names) < LEAST_IMAGES:
            return {"colours": {}, "classes": {}, "pseudo": False}
        neighbours = neighbours_in(frozen_vectors(cache, names))
        preset, classes = load_preset(base.preset), {}
        if can_classify(preset):
            found = pseudo_names(class_probabilities(preset, cache, names), neighbours)
            classes = {image: list(told) for image, told in zip(names, found, strict=True) if told is not None}
        return {"colours": colours_around(names, colours, neighbours.tolist()), "classes": classes, "pseudo": True}

    def _split(
        self,
        stages: Stages,
        usable: Sequence[Described],
        images: dict[str, ImageRef],
        base: Base,
        cache: FeatureCache,
        plan: Plan,
        warnings: list[str],
    ) -> _Work:
        names = [each.image for each in usable]
        split = split_images(names, frozen_vectors(cache, names), self.settings.seed)
        held, by_name = set(split.held_out), {each.image: each for each in usable}
        if split.largest > 0.2 * len(names) and len(names) > 1:
            warnings.append(f"{split.largest} of {len(names)} images are near-duplicates of each other")
        held_concepts = Concepts([by_name[name] for name in split.held_out])
        known = Concepts([each for each in usable if each.image not in held])
        ruler = None
        if len(held_concepts) >= 2 and len(names) >= LEAST_IMAGES:
            ruler = make_ruler(held_concepts, split.held_out, images, self.settings.seed)
        if ruler is None:
            warnings.append("too few images have texts that differ: nothing can be measured on held-out images")
        unnamed = [each.image for each in usable if each.image not in held and not each.has_text]
        return _Work(images, base, cache, plan, known, unnamed, ruler)

    def _learn(
        self,
        stages: Stages,
        work: _Work,
        retriever: Retriever,
        coverage: Coverage,
        skipped: Sequence[SetAside],
        warnings: list[str],
        label: str,
    ) -> AdaptResult:
        def finish(kept: str, reason: str, weight: float, after: Mapping[str, Any], gain: Any) -> AdaptResult:
            result = AdaptResult(
                self.out, kept, reason, before, after, gain, weight, coverage, skipped, stages.seconds, warnings, label
            )
            write_json(self.out / "result.json", result.to_json())
            return result

        before = stages.run("base", "measuring the base", lambda _: self._measure(work, retriever))
        written = self._taught(stages, work)
        known = self._named(stages, work, written) if work.unnamed else work.known
        start = self._pretrained(stages, work, known)
        trained = stages.run("training", "training the retriever", lambda place: self._train(work, known, start, place))
        if not trained["trained"]:
            retriever.save(self.out / "retriever")
            reason = "The folder's texts are too few or too much alike to learn from, so the base is kept."
            return finish(BASE, reason, 0.0, before, None)
        chosen = stages.run(
            "choice", "choosing between base and trained model", lambda _: self._choose(work, retriever, trained)
        )
        if not (self.out / "retriever" / "config.json").is_file():
            self._save(chosen["weight"], retriever, trained)
        warnings += chosen["warnings"]
        return finish(chosen["kept"], chosen["reason"], chosen["weight"], chosen["after"], chosen["gain"])

    def _measure(self, work: _Work, retriever: Retriever) -> dict[str, Any]:
        return {} if work.ruler is None else work.ruler.measure(retriever, work.cache, work.plan.precision).to_json()

    def _taught(self, stages: Stages, work: _Work) -> list[Named]:
        """Teach the generator the collection's names, where it is to write, and return those that it writes."""
        if self._writer(work) != "generator" or not work.known.named:
            return []
        title = "the generator learns the collection's names and writes them"
        return _read_named(stages.run("generator", title, lambda place: self._write(work, place)))

    def _named(self, stages: Stages, work: _Work, written: Sequence[Named]) -> Concepts:
        """Return what is known of the images once those without text have names too."""
        if self._writer(work) == "none" or not work.known.named:
            return work.known
        named = _read_named(
            stages.run(
                "names-0",
                "naming images without text by those that have one",
                lambda _: _named_rows(name_images(None, work.cache, work.known, work.unnamed)),
            )
        )
        for number in range(1, self.settings.rounds + 1):
            known_now = Concepts([*work.known.images, *as_described(named)])

            def name(place: Path, known: Concepts = known_now) -> dict[str, Any]:
                return self._name(work, known, place)

            named = _read_named(stages.run(f"names-{number}", f"naming them anew, round {number}", name))
        if written:
            named = trusted_names(named, written)
        return Concepts([*work.known.images, *as_described(named)])

    def _writer(self, work: _Work) -> str:
        """Return who writes: the generator too where there is time for it."""
        if self.settings.writer != "auto":
            return self.settings.writer
        has_time = self.settings.minutes >= GENERATOR_MINUTES and self.settings.generator is not None
        return "generator" if has_time and work.base.preset == "small" else "retriever"

    def _name(self, work: _Work, known: Concepts, place: Path) -> dict[str, Any]:
        """Train on what is known for a third of the steps, and name the images without text."""
        shorter = work.plan.model_copy(
            update={"caption_steps": max(work.plan.caption_steps // 2, 1), "steps": max(work.plan.steps // 3, 1)}
        )
        run = train(known, work.images, work.cache, work.base, self.settings, shorter, place, self._features)
        if run is None:
            return {"named": []}
        with autocast(work.plan.precision, run.retriever.device):
            named = name_images(run.retriever, work.cache, work.known, work.unnamed)
        return {**_named_rows(named), "metrics": self._measure(work, run.retriever)}

    def _write(self, work: _Work, place: Path) -> dict[str, Any]:
        """Let the generator learn the collection's names, and write those of images without text."""
        steps = generator_steps(work.plan)
        generator = adapt_generator(
            work.known, work.images, work.cache, work.base, self.settings, work.plan, steps, place, self._features
        )
        return _named_rows([] if generator is None else write_names(generator, work.cache, work.known, work.unnamed))

    def _pretrained(self, stages: Stages, work: _Work, known: Concepts) -> Base:
        """Return what training starts from: the base, or where the generator writes, what learned from its texts."""
        if self._writer(work) != "generator" or not (self.out / "stages" / "generator" / "generator").is_dir():
            return work.base

        def write(place: Path) -> dict[str, Any]:
            generator = ModificationGenerator.from_pretrained(self.out / "stages" / "generator")
            images = {name: work.images[name] for name in self._learned_from(work, known)}
            limit = max(work.plan.steps * PAIRS_PER_STEP, self.settings.batch_size)
            written = write_pairs(
                generator, None, images, work.plan, limit, place / "pairs", self._features, self.settings.seed
            )
            write_triplets(place / "triplets.jsonl", with_namesakes(written, known))
            return {
                "triplets": len(written),
                "examples": [_example(each) for each in written[:: len(written) // 10 + 1]],
            }

        def learn(place: Path) -> dict[str, Any]:
            triplets = read_triplets(self.out / "stages" / "writing" / "triplets.jsonl")
            shorter = work.plan.model_copy(update={"steps": max(work.plan.steps // 3, 1)})
            done = pretrain(triplets, work.images, work.base, self.settings, shorter, place, self._features)
            return {"trained": done}

        stages.run("writing", "the generator writes about mined pairs", write)
        done = stages.run("pretraining", "pretraining on what was written", learn)["trained"]
        return replace(work.base, weights=str(self.out / "stages" / "pretraining")) if done else work.base

    def _learned_from(self, work: _Work, known: Concepts) -> list[str]:
        return list(dict.fromkeys([*(each.image for each in known.images), *work.unnamed]))

    def _train(self, work: _Work, known: Concepts, start: Base, place: Path) -> dict[str, Any]:
        run = train(known, work.images, work.cache, start, self.settings, work.plan, place, self._features)
        if run is None:
            return {"trained": False}
        return {"trained": True, "folder": str(place.relative_to(self.out)), "triplets": run.triplets}

    def _choose(self, work: _Work, retriever: Retriever, trained: Mapping[str, Any]) -> dict[str, Any]:
        """Choose the weight between base and trained model by the held-out queries; the base where nothing improves."""
        if work.ruler is None:
            reason = "Nothing could be measured on held-out images; the trained model is taken as it is."
            return {"kept": ADAPTED, "reason": reason, "weight": 1.0, "after": {}, "gain": None, "warnings": []}
        base, tuned = copied_state(retriever.module), self._trained_state(trained)
        before = work.ruler.measure(retriever, work.cache, work.plan.precision)
        found: dict[float, Measured] = {}
        for weight in distinct_weights(self.settings.weights):
            interpolate(retriever.module, base, tuned, weight)
            found[weight] = work.ruler.measure(retriever, work.cache, work.plan.precision)
        interpolate(retriever.module, base, base, 0.0)
        curve = {weight: measured.metrics[MAIN_METRIC] for weight, measured in found.items()}
        weight = choose_weight(curve, self.settings.given_up)
        gain = gain_interval(before, found[weight])
        result = {
            "panels": _panels(work.ruler, before, found[weight], self.settings.seed),
            "curve": [[0.0, before.metrics[MAIN_METRIC]], *([w, v] for w, v in curve.items())],
            "trained": found[1.0].to_json(),
            "warnings": [],
        }
        was, now = before.metrics[MAIN_METRIC], curve[weight]
        if gain[0] > 0:
            reason = f"{MAIN_METRIC} on held-out images rose from {was:.1f} to {now:.1f}."
            return {"kept": ADAPTED, "reason": reason, "weight": weight, "after": found[weight].to_json(),
                    "gain": list(gain), **result}  # fmt: skip
        reason = (
            f"{MAIN_METRIC} on held-out images went from {was:.1f} to {now:.1f}, no significant gain, "
            "so the base is kept."
        )
        return {"kept": BASE, "reason": reason, "weight": 0.0, "after": before.to_json(), "gain": list(gain), **result}

    def _trained_state(self, trained: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        return copied_state(Retriever.from_pretrained(self.out / trained["folder"]).module)

    def _save(self, weight: float, retriever: Retriever, trained: Mapping[str, Any]) -> None:
        base = copied_state(retriever.module)
        interpolate(retriever.module, base, self._trained_state(trained), weight)
        retriever.save(self.out / "retriever")


def _panels(ruler: Ruler, before: Measured, after: Measured, seed: int) -> list[dict[str, Any]]:
    """Return a random sample of queries with what was found before and after."""
    chosen = sorted(Random(f"{seed}/panels").sample(range(len(ruler.queries)), min(_PANELS, len(ruler.queries))))
    panels = []
    for position in chosen:
        query = ruler.queries[position]
        panel: dict[str, Any] = {"text": query.modification, "reference": str(ruler.images[query.reference].path)}
        for title, measured in (("before", before), ("after", after)):
            names = measured.rankings[position][:_HITS]
            panel[title] = [[str(ruler.images[name].path), name in query.targets] for name in names]
        panels.append(panel)
    return panels


def _named_rows(named: Sequence[Named]) -> dict[str, Any]:
    return {"named": [[each.image, each.name, round(each.confidence, 4)] for each in named]}


def _read_named(result: Mapping[str, Any]) -> list[Named]:
    return [Named(*row) for row in result["named"]]


def _example(triplet: Triplet) -> list[str]:
    return [triplet.reference, triplet.modification, triplet.target]


def _with_looks(each: Described, told: Mapping[str, Any]) -> Described:
    name, weight = told["classes"].get(each.image, (None, each.weight))
    names = each.names if name is None else (name,)
    return replace(each, names=names, weight=weight, colour=told["colours"].get(each.image, ""))


def _row(each: Described) -> list[Any]:
    return [each.image, each.names, each.prose, sorted(each.attributes.items())]


def _sample(images: Sequence[ImageRef], described: Sequence[Described], most: int, seed: int) -> set[str]:
    """Return the names of at most ``most`` images: those with text first, at random."""
    if len(images) <= most:
        return {image.name for image in images}
    told = [each.image for each in described if each.has_text]
    others = [each.image for each in described if not each.has_text]
    generator = Random(f"{seed}/sample")
    generator.shuffle(told)
    generator.shuffle(others)
    # Images without text are learned from as well, once they are named.
    with_text = min(len(told), max(most - len(others), round(0.7 * most)))
    return {*told[:with_text], *others[: most - with_text]}


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
    from likebut.adapt.report import write_report

    settings = AdaptSettings.model_validate(
        {"base": str(base), "text": tuple(text or ()), "minutes": minutes, "writer": writer, "seed": seed, **changes}
    )
    told = say or (_tell if show_progress else (lambda _: None))
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
        gallery.store.keep_setting("model", str(result.folder.absolute()))
        gallery.synchronise(folder, None, progress=True)
        gallery.optimise()
        return len(gallery)


def _tell(line: str) -> None:
    from likebut.progress import notice

    notice(line)


def read_result(out: Path) -> dict[str, Any]:
    """Return what ``result.json`` of a finished run says."""
    found: dict[str, Any] = read_json(out / "result.json")
    return found
