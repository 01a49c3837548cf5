"""The choice between base and trained model, and what lies between them, by the held-out queries."""

from collections.abc import Mapping
from random import Random
from typing import Any

from torch import Tensor

from likebut.adapt.interpolation import choose_weight, copied_state, distinct_weights, interpolate
from likebut.adapt.measure import MAIN_METRIC, Measured, Ruler, gain_interval
from likebut.adapt.result import ADAPTED, BASE
from likebut.adapt.work import Work
from likebut.retriever.retriever import Retriever

_PANELS, _HITS = 8, 6
PSEUDO_WEIGHT = 0.5
"""How far from the base pseudo-captions lead."""


def choose(
    work: Work, retriever: Retriever, trained: Mapping[str, Any], measured_base: Mapping[str, Any]
) -> dict[str, Any]:
    """Choose the weight between base and trained model by the held-out queries; the base where nothing improves."""
    if work.ruler is None:
        reason = "Too few images have texts that differ to measure what training brought, so the base is kept."
        return {"kept": BASE, "reason": reason, "weight": 0.0, "after": {}, "gain": None, "warnings": []}
    base, tuned = copied_state(retriever.module), _trained_state(work, trained)
    before = Measured.load(measured_base)
    found: dict[float, Measured] = {}
    # Pseudo-captions on held-out images are guesses of the same classifier: they cannot tell how far to go.
    for weight in [PSEUDO_WEIGHT] if work.pseudo else distinct_weights(work.settings.weights):
        interpolate(retriever.module, base, tuned, weight)
        found[weight] = work.ruler.measure(retriever, work.cache, work.plan.precision)
    interpolate(retriever.module, base, base, 0.0)
    curve = {weight: measured.metrics[MAIN_METRIC] for weight, measured in found.items()}
    weight = choose_weight(curve, work.settings.given_up)
    gain = gain_interval(before, found[weight])
    result = {
        "panels": _panels(work.ruler, before, found[weight], work.settings.seed),
        "curve": [[0.0, before.metrics[MAIN_METRIC]], *([w, v] for w, v in curve.items())],
        "trained": found[max(found)].to_json(),
        "warnings": [],
    }
    was, now = before.metrics[MAIN_METRIC], curve[weight]
    if gain[0] > 0:
        reason = f"{MAIN_METRIC} on held-out images rose from {was:.1f} to {now:.1f}."
        return {"kept": ADAPTED, "reason": reason, "weight": weight, "after": found[weight].to_json(),
                "gain": list(gain), **result}  # fmt: skip
    reason = (
        f"{MAIN_METRIC} on held-out images went from {was:.1f} to {now:.1f}, no significant gain, so the base is kept."
    )
    return {"kept": BASE, "reason": reason, "weight": 0.0, "after": before.to_json(), "gain": list(gain), **result}


def save_chosen(work: Work, weight: float, retriever: Retriever, trained: Mapping[str, Any]) -> None:
    """Save what stands at ``weight`` between ``retriever``, the base, and the trained model."""
    base = copied_state(retriever.module)
    interpolate(retriever.module, base, _trained_state(work, trained), weight)
    retriever.save(work.out / "retriever")


def _trained_state(work: Work, trained: Mapping[str, Any]) -> dict[str, Tensor]:
    return copied_state(Retriever.from_pretrained(work.out / trained["folder"]).module)


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
