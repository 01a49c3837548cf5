"""What an adaptation works on: the images it reads, what is said and seen of them, and those held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from likebut.adapt.base import Base
from likebut.adapt.colours import agreed_colours, colours_around, colours_of
from likebut.adapt.concepts import Concepts, Described, key_of
from likebut.adapt.holdout import LEAST_IMAGES, split_images
from likebut.adapt.measure import Ruler, make_ruler
from likebut.adapt.pseudo import can_classify, class_probabilities, neighbours_in, pseudo_names
from likebut.adapt.settings import AdaptSettings, Plan
from likebut.data.triplets import ImageRef
from likebut.features.cache import FeatureCache
from likebut.features.neighbours import frozen_vectors
from likebut.models.preset import load_preset
from likebut.retriever.retriever import Retriever


@dataclass(frozen=True)
class Work:
    """What the stages share.

    Attributes:
        settings: Of the run.
        out: The run's folder.
        features: Where vision tokens are cached; in the user's cache folder if None.
        images: By name.
        base: What to start from.
        cache: Of the images' tokens.
        plan: How long the stages are.
        known: Images to learn from, with their texts.
        unnamed: Images to learn from without text.
        ruler: Measures on held-out images; None where there are too few.
        pseudo: Whether the texts are pseudo-captions, for want of any.
    """

    settings: AdaptSettings
    out: Path
    features: Path | None
    images: Mapping[str, ImageRef]
    base: Base
    cache: FeatureCache
    plan: Plan
    known: Concepts
    unnamed: Sequence[str]
    ruler: Ruler | None
    pseudo: bool = False

    def measure(self, retriever: Retriever) -> dict[str, Any]:
        """Return a retriever's metrics on the held-out images; none where nothing can be measured."""
        return {} if self.ruler is None else self.ruler.measure(retriever, self.cache, self.plan.precision).to_json()


def sample(images: Sequence[ImageRef], described: Sequence[Described], most: int, seed: int) -> set[str]:
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


def look(usable: Sequence[Described], refs: Sequence[ImageRef], cache: FeatureCache, base: Base) -> dict[str, Any]:
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


def with_looks(each: Described, told: Mapping[str, Any]) -> Described:
    """Return an image with what :func:`look` saw of it."""
    name, weight = told["classes"].get(each.image, (None, each.weight))
    names = each.names if name is None else (name,)
    return replace(each, names=names, weight=weight, colour=told["colours"].get(each.image, ""))


def split(
    usable: Sequence[Described],
    images: dict[str, ImageRef],
    base: Base,
    cache: FeatureCache,
    plan: Plan,
    warnings: list[str],
    settings: AdaptSettings,
    out: Path,
    features: Path | None,
    pseudo: bool = False,
) -> Work:
    """Return the work, its images split into those to learn from and those held out; adds to ``warnings``."""
    names = [each.image for each in usable]
    contents = [cache.content(name) for name in names]
    split = split_images(names, frozen_vectors(cache, names), settings.seed, contents=contents)
    held, by_name = set(split.held_out), {each.image: each for each in usable}
    if split.largest > 0.2 * len(names) and len(names) > 1:
        warnings.append(f"{split.largest} of {len(names)} images are near-duplicates of each other")
    held_concepts = Concepts([by_name[name] for name in split.held_out])
    known = Concepts([each for each in usable if each.image not in held])
    ruler = None
    if len(held_concepts) >= 2 and len(names) >= LEAST_IMAGES:
        ruler = make_ruler(held_concepts, split.held_out, images, settings.seed)
    if ruler is None:
        warnings.append("too few images have texts that differ: nothing can be measured on held-out images")
    unnamed = [each.image for each in usable if each.image not in held and not each.has_text]
    return Work(settings, out, features, images, base, cache, plan, known, unnamed, ruler, pseudo)
