"""Small ablations whose metrics can be computed by hand."""

from likebut.research.ablations.plan import AblationSettings
from likebut.research.ablations.results import AblationOutcome, AblationOutcomes, RowOutcome, SeedValues


def make_row(label: str, x: float | None, *recalls: float, series: str = "", pretraining: int = 6) -> RowOutcome:
    metrics = {"Recall@1": SeedValues(tuple(value / 2 for value in recalls)), "Recall@10": SeedValues(recalls)}
    synthetic = 1200 if pretraining else 0
    return RowOutcome(label, series, x, pretraining + 4, pretraining, 30, synthetic, metrics)


def make_outcome() -> AblationOutcomes:
    numbered = AblationOutcome(
        "synthetic-size",
        "How many",
        "Does it help?",
        "synthetic triplets (pools)",
        (
            make_row("0 × pool", 0.0, 50.0, 53.0, 56.0, series="with", pretraining=0),
            make_row("1 × pool", 1.0, 60.0, 64.0, 62.0, series="with"),
            make_row("0, longer", 0.0, 52.0, 52.0, 52.0, series="without", pretraining=0),
        ),
    )
    rows = (make_row("one hop & more", None, 40.0, 41.0, 42.0), make_row("two hops", None, 70.0, 70.0, 70.0))
    named = AblationOutcome("hops-and-losses", "Hops", "Two?", "", rows)
    data = {"split": "val", "queries": 432, "gallery": 486, "human_triplets": 1920}
    settings = AblationSettings(only=("synthetic-size", "hops-and-losses"))
    return AblationOutcomes(settings, data, {"processor": "a fast one"}, (numbered, named), 12, 5, 4200, 3720.0)
