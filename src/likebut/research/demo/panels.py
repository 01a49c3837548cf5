"""The retrieval panels of the demo's report: a random sample of test queries with their best results."""

from random import Random

from likebut.evaluation.evaluator import RankedBenchmark
from likebut.research.demo.training import DemoFolders
from likebut.research.reports.contents import Panel, PanelHit
from likebut.research.writing import open_tokens
from likebut.retriever.base import similarity
from likebut.retriever.retriever import Retriever

PANELS = 8
HITS = 6
PANEL_RULE = (
    "A random sample of eight test queries (seed 0), chosen before training; the six best results of each query."
)


def sample_panels(retriever: Retriever, ranked: RankedBenchmark, folders: DemoFolders) -> list[Panel]:
    """Return the panels of a retriever's rankings, chosen by :data:`PANEL_RULE`."""
    queries, images = ranked.benchmark.queries, ranked.benchmark.images
    chosen = sorted(Random(0).sample(range(len(queries)), min(PANELS, len(queries))))
    shown = [ranked.rankings.gallery[position][:HITS] for position in chosen]
    names = {queries[position].reference for position in chosen}.union(*shown)
    features = open_tokens(retriever.vision, names, folders.data, folders.features)
    panels = []
    for position, best in zip(chosen, shown, strict=True):
        query, ranking = queries[position], ranked.rankings.gallery[position]
        query_embedding = retriever.embed_query_tokens(features.tokens([query.reference]), [query.modification])
        scores = similarity(query_embedding, retriever.embed_image_tokens(features.tokens(best)))[0].tolist()
        ranks = [rank for rank, name in enumerate(ranking, start=1) if name in query.targets]
        panels.append(
            Panel(
                reference=images[query.reference].path,
                modification=query.modification,
                hits=[
                    PanelHit(images[name].path, score, name in query.targets)
                    for name, score in zip(best, scores, strict=True)
                ],
                first_right=ranks[0] if ranks else None,
                depth=len(ranking),
            )
        )
    return panels
