"""Texts for images without any: names found by others that have one, and what the generator writes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from likebut.adapt.base import Base
from likebut.adapt.concepts import Concepts
from likebut.adapt.naming import Named, as_described, name_images, trusted_names
from likebut.adapt.stages import Stages
from likebut.adapt.training import pretrain, train
from likebut.adapt.work import Work
from likebut.adapt.writing import adapt_generator, generator_steps, with_namesakes, write_names, write_pairs
from likebut.data.triplets import Triplet, read_triplets, write_triplets
from likebut.generator.generator import ModificationGenerator

PAIRS_PER_STEP = 4
GENERATOR_MINUTES = 40.0
"""From how much time on "auto" lets the generator learn the collection too."""


def taught(stages: Stages, work: Work) -> list[Named]:
    """Teach the generator the collection's names, where it is to write, and return those that it writes."""
    if writer_of(work) != "generator" or not work.known.named:
        return []
    title = "the generator learns the collection's names and writes them"
    return _read_named(stages.run("generator", title, lambda place: _write(work, place)))


def with_names(stages: Stages, work: Work, written: Sequence[Named]) -> Concepts:
    """Return what is known of the images once those without text have names too."""
    if writer_of(work) == "none" or not work.known.named:
        return work.known
    named = _read_named(
        stages.run(
            "names-0",
            "naming images without text by those that have one",
            lambda _: _named_rows(name_images(None, work.cache, work.known, work.unnamed)),
        )
    )
    for number in range(1, work.settings.rounds + 1):
        known_now = Concepts([*work.known.images, *as_described(named, work.known)])

        def name(place: Path, known: Concepts = known_now) -> dict[str, Any]:
            return _name(work, known, place)

        named = _read_named(stages.run(f"names-{number}", f"naming them anew, round {number}", name))
    if written:
        named = trusted_names(named, written)
    return Concepts([*work.known.images, *as_described(named, work.known)])


def writer_of(work: Work) -> str:
    """Return who writes: the generator too where there is time for it."""
    if work.settings.writer != "auto":
        return work.settings.writer
    has_time = work.settings.minutes >= GENERATOR_MINUTES and work.settings.generator is not None
    return "generator" if has_time and work.base.preset == "small" else "retriever"


def _name(work: Work, known: Concepts, place: Path) -> dict[str, Any]:
    """Train on what is known for a third of the steps, and name the images without text."""
    shorter = work.plan.model_copy(
        update={"caption_steps": max(work.plan.caption_steps // 2, 1), "steps": max(work.plan.steps // 3, 1)}
    )
    run = train(known, work.images, work.cache, work.base, work.settings, shorter, place, work.features)
    if run is None:
        return {"named": []}
    named = name_images(run.retriever, work.cache, work.known, work.unnamed, precision=work.plan.precision)
    return {**_named_rows(named), "metrics": work.measure(run.retriever)}


def _write(work: Work, place: Path) -> dict[str, Any]:
    """Let the generator learn the collection's names, and write those of images without text."""
    steps = generator_steps(work.plan)
    generator = adapt_generator(
        work.known, work.images, work.cache, work.base, work.settings, work.plan, steps, place, work.features
    )
    return _named_rows([] if generator is None else write_names(generator, work.cache, work.known, work.unnamed))


def pretrained(stages: Stages, work: Work, known: Concepts) -> Base:
    """Return what training starts from: the base, or where the generator writes, what learned from its texts."""
    if writer_of(work) != "generator" or not (work.out / "stages" / "generator" / "generator").is_dir():
        return work.base

    def write(place: Path) -> dict[str, Any]:
        generator = ModificationGenerator.from_pretrained(work.out / "stages" / "generator")
        images = {name: work.images[name] for name in _learned_from(work, known)}
        limit = max(work.plan.steps * PAIRS_PER_STEP, work.settings.batch_size)
        written = write_pairs(
            generator, None, images, work.plan, limit, place / "pairs", work.features, work.settings.seed
        )
        write_triplets(place / "triplets.jsonl", with_namesakes(written, known))
        return {
            "triplets": len(written),
            "examples": [_example(each) for each in written[:: len(written) // 10 + 1]],
        }

    def learn(place: Path) -> dict[str, Any]:
        triplets = read_triplets(work.out / "stages" / "writing" / "triplets.jsonl")
        shorter = work.plan.model_copy(update={"steps": max(work.plan.steps // 3, 1)})
        done = pretrain(triplets, work.images, work.base, work.settings, shorter, place, work.features)
        return {"trained": done}

    stages.run("writing", "the generator writes about mined pairs", write)
    done = stages.run("pretraining", "pretraining on what was written", learn)["trained"]
    return replace(work.base, weights=str(work.out / "stages" / "pretraining")) if done else work.base


def _learned_from(work: Work, known: Concepts) -> list[str]:
    return list(dict.fromkeys([*(each.image for each in known.images), *work.unnamed]))


def _named_rows(named: Sequence[Named]) -> dict[str, Any]:
    return {"named": [[each.image, each.name, round(each.confidence, 4)] for each in named]}


def _read_named(result: Mapping[str, Any]) -> list[Named]:
    return [Named(*row) for row in result["named"]]


def _example(triplet: Triplet) -> list[str]:
    return [triplet.reference, triplet.modification, triplet.target]
