"""What the demo's report shows of single queries and single written texts."""

import itertools
from collections.abc import Sequence
from random import Random

import torch

from likebut.data.triplets import Query
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.generator.decoding import Decoding
from likebut.generator.generator import ModificationGenerator
from likebut.research.demo.training import Workplace, known_tokens
from likebut.research.reports.contents import Hit, Panel
from likebut.retriever.base import similarity
from likebut.retriever.retriever import Retriever

PANELS = 8
HITS = 6
PANEL_RULE = (
    "Eight test queries drawn by lot (seed 0) before anything was trained, whatever came of them; "
    "the six best results of each."
)


def draw_panels(retriever: Retriever, ranked: RankedBenchmark, place: Workplace) -> list[Panel]:
    """Return the panels of a retriever's rankings, by :data:`PANEL_RULE`."""
    queries = ranked.benchmark.queries
    chosen = sorted(Random(0).sample(range(len(queries)), min(PANELS, len(queries))))
    shown = [ranked.rankings.gallery[position][:HITS] for position in chosen]
    named = {queries[position].reference for position in chosen}.union(*shown)
    features = known_tokens(retriever.vision, named, place)
    panels = []
    for position in chosen:
        query, ranking = queries[position], ranked.rankings.gallery[position]
        names = ranking[:HITS]
        query_embedding = retriever.embed_query_tokens(features.tokens([query.reference]), [query.modification])
        scores = similarity(query_embedding, retriever.embed_image_tokens(features.tokens(names)))[0]
        panels.append(_panel(query, ranking, names, scores.tolist(), ranked))
    return panels


def _panel(
    query: Query, ranking: Sequence[str], names: Sequence[str], scores: Sequence[float], ranked: RankedBenchmark
) -> Panel:
    images = ranked.benchmark.images
    places = [place for place, name in enumerate(ranking, start=1) if name in query.targets]
    return Panel(
        reference=images[query.reference].path,
        modification=query.modification,
        hits=[Hit(images[name].path, score, name in query.targets) for name, score in zip(names, scores, strict=True)],
        first_right=places[0] if places else None,
        depth=len(ranking),
    )


def write_for_pairs(
    generator: ModificationGenerator,
    pairs: Sequence[tuple[str, str]],
    place: Workplace,
    decoding: Decoding,
    batch_size: int = 64,
) -> list[str]:
    """Return one written text for each (reference, target) of the sample data."""
    features = known_tokens(generator.vision, itertools.chain.from_iterable(pairs), place)
    texts: list[str] = []
    with torch.inference_mode():
        for start in range(0, len(pairs), batch_size):
            part = pairs[start : start + batch_size]
            references = features.tokens([reference for reference, _ in part])
            targets = features.tokens([target for _, target in part])
            texts += generator.write_batch(references, targets, decoding)
    return texts
