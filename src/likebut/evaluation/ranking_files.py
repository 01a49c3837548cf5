"""Ranking files in the benchmarks' own submission formats: reading them with every check, and writing them.

CIRR: ``{"version": "rc2", "metric": "recall" or "recall_subset", "<pair id>": [names]}``, one file for each metric.
FashionIQ: ``{"dress": {"<query index>": [names]}, …}``. CIRCO: ``{"<query id>": [ids]}``.
PinPoint: ``{"<query id>": {"retrieved_items": [signatures]}}``.
A data folder: ``{"<query id>": [names]}``. Clothing: the same, with its second query set under "attributes".
i-CIR and GeneCIS have no format of their own: i-CIR is written as a data folder, GeneCIS as FashionIQ, with its tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from likebut.data.triplets import Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.cirr import VERSION
from likebut.evaluation.benchmarks.layout import require_choice
from likebut.evaluation.benchmarks.pinpoint import normalise_query_id
from likebut.files import read_json

GALLERY_LENGTH = 50
SUBSET_LENGTH = 3
CIRR_METRICS = ("recall", "recall_subset")

RankingLists = list[list[str]]
"""The ranking of each query, in the order of the benchmark's queries."""


def read_ranking_file(path: Path) -> dict[str, Any]:
    """Return the content of a ranking file.

    Raises:
        InputError: The file is missing or contains no JSON object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(
            f"{path} contains a {type(content).__name__}, not an object.",
            "Write one ranking for each query.",
            code="invalid-ranking-file",
        )
    return content


def read_cirr_rankings(path: Path, benchmark: Benchmark, metric: str) -> RankingLists:
    """Read one of CIRR's two upload files.

    Args:
        path: The file.
        benchmark: The split that it ranks.
        metric: "recall" or "recall_subset".

    Raises:
        InputError: The file is invalid; the message names the query.
    """
    return parse_cirr_rankings(read_ranking_file(path), benchmark, metric, str(path))


def parse_cirr_rankings(content: Mapping[str, Any], benchmark: Benchmark, metric: str, where: str) -> RankingLists:
    """Return the rankings of a CIRR upload file, checked as the test server does.

    Args:
        content: The file's content.
        benchmark: The split that it ranks.
        metric: "recall" or "recall_subset".
        where: The file, for messages.

    Raises:
        InputError: The content is invalid.
    """
    entries = dict(content)
    version, found = entries.pop("version", None), entries.pop("metric", None)
    if version != VERSION:
        raise InputError(
            f'{where} has the "version" {version!r}, not "{VERSION}".',
            f'Add "version": "{VERSION}".',
            code="wrong-version",
        )
    if found != metric:
        other = "--subset-predictions" if found == "recall_subset" else "--predictions"
        remedy = f"Give it with {other}." if found in CIRR_METRICS else f'Add "metric": "{metric}".'
        raise InputError(f'{where} has the "metric" {found!r}, not "{metric}".', remedy, code="wrong-metric")
    if metric == "recall_subset":
        return _check_lists(entries, benchmark, where, lambda query: frozenset(query.subset), SUBSET_LENGTH)
    return check_gallery_lists(entries, benchmark, where)


def read_circo_rankings(path: Path, benchmark: Benchmark) -> RankingLists:
    """Read a CIRCO submission.

    Raises:
        InputError: The file is invalid; the message names the query.
    """
    return parse_circo_rankings(read_ranking_file(path), benchmark, str(path))


def parse_circo_rankings(content: Mapping[str, Any], benchmark: Benchmark, where: str) -> RankingLists:
    """Return the rankings of a CIRCO submission, as names.

    Args:
        content: The file's content.
        benchmark: The split that it ranks.
        where: The file, for messages.

    Raises:
        InputError: The content is invalid.
    """
    entries = {}
    for query, ids in content.items():
        if not isinstance(ids, list) or not all(
            isinstance(image, int) and not isinstance(image, bool) for image in ids
        ):
            raise InputError(
                f"{where}: query {query} is not a list of integers.", "Write COCO's image ids.", code="not-a-list"
            )
        entries[query] = [str(image) for image in ids]
    return check_gallery_lists(entries, benchmark, where)


def read_pinpoint_rankings(path: Path, benchmark: Benchmark) -> RankingLists:
    """Read a PinPoint result file.

    Raises:
        InputError: The file is invalid; the message names the query.
    """
    entries = {}
    for query, result in read_ranking_file(path).items():
        if not isinstance(result, dict) or "retrieved_items" not in result:
            raise InputError(
                f'{path}: query {query} has no "retrieved_items".',
                'Write {"00001": {"retrieved_items": ["signature", …]}}.',
                code="not-a-list",
            )
        entries[normalise_query_id(query)] = result["retrieved_items"]
    return check_gallery_lists(entries, benchmark, str(path))


def read_rankings_of_parts(path: Path, parts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read a ranking file into its parts, FashionIQ's categories or GeneCIS's tasks.

    :func:`check_gallery_lists` checks the rankings of each.

    Args:
        path: The file.
        parts: The parts that there are.

    Raises:
        InputError: The file is not an object of parts.
    """
    content = read_ranking_file(path)
    for part, entries in content.items():
        require_choice(part, parts, f"part in {path}:")
        if not isinstance(entries, dict):
            raise InputError(
                f'{path}: "{part}" is not an object.',
                'Write {"<query index>": [names…]}.',
                code="invalid-ranking-file",
            )
    if not content:
        raise InputError(
            f"{path} ranks nothing.", f'Write {{"{parts[0]}": {{"0": [names…]}}, …}}.', code="invalid-ranking-file"
        )
    return {part: content[part] for part in parts if part in content}


def check_gallery_lists(entries: Mapping[str, Any], benchmark: Benchmark, where: str) -> RankingLists:
    """Return rankings of the gallery, or of each query's own candidates, in the order of the benchmark's queries.

    Args:
        entries: Query id → its ranking.
        benchmark: The benchmark.
        where: The file, for messages.

    Raises:
        InputError: A query is missing or unknown; or a ranking is too short, repeats a name, lists an image that is not
            a candidate, or is not a list of names.
    """
    gallery = frozenset(benchmark.gallery)
    sets = {names: frozenset(names) for names in dict.fromkeys(benchmark.candidates.values())}
    length = len(gallery) if benchmark.plan.complete_ranking else GALLERY_LENGTH

    def candidates_of(query: Query) -> frozenset[str]:
        own = benchmark.candidates.get(query.id)
        return gallery if own is None else sets[own]

    return _check_lists(entries, benchmark, where, candidates_of, length)


def ranking_content(benchmarks: Sequence[Benchmark], lists: Sequence[RankingLists]) -> dict[str, Any]:
    """Return rankings of the gallery in the benchmark's own format, as JSON values; named parts under their names.

    Args:
        benchmarks: The benchmark, or its categories.
        lists: The rankings of each.
    """
    parts = {
        benchmark.part: _keyed_by_query(benchmark, rankings)
        for benchmark, rankings in zip(benchmarks, lists, strict=True)
    }
    if "" not in parts:
        return parts
    main = parts.pop("")
    return (_cirr_header("recall") if benchmarks[0].name == "cirr" else {}) | main | parts


def subset_ranking_content(benchmark: Benchmark, lists: RankingLists) -> dict[str, Any]:
    """Return CIRR's second upload file: the first 3 of each query's subset."""
    shortened = [names[:SUBSET_LENGTH] for names in lists]
    return _cirr_header("recall_subset") | _keyed_by_query(benchmark, shortened)


def _check_lists(
    entries: Mapping[str, Any],
    benchmark: Benchmark,
    where: str,
    candidates_of: Callable[[Query], frozenset[str]],
    length: int,
) -> RankingLists:
    ids = {query.id for query in benchmark.queries}
    unknown = next((query for query in entries if query not in ids), None)
    if unknown is not None:
        raise InputError(
            f'{where} ranks the query "{unknown}", which {benchmark.title} does not have.',
            "Remove it.",
            code="unknown-query",
        )
    missing = [query.id for query in benchmark.queries if query.id not in entries]
    if missing:
        raise InputError(
            f"{where} lacks {len(missing)} of the {len(ids)} queries of {benchmark.title}, {missing[0]} first.",
            "Rank every query.",
            code="missing-queries",
        )
    for query in benchmark.queries:
        _check_list(entries[query.id], query, f"{where}: query {query.id}", candidates_of(query), length)
    return [list(entries[query.id]) for query in benchmark.queries]


def _check_list(names: Any, query: Query, where: str, candidates: frozenset[str], length: int) -> None:
    """Check one ranking; ``candidates`` is empty if they are unknown."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where} is not a list of names.", 'Write ["name", …].', code="not-a-list")
    seen: set[str] = set()
    for name in names:
        if name in query.excluded:
            raise InputError(
                f'{where} lists its reference "{name}".',
                "Leave the reference out of its ranking.",
                code="reference-ranked",
            )
        if candidates and name not in candidates:
            raise InputError(
                f'{where} lists "{name}", which is not among its candidates.',
                "Use the gallery's names.",
                code="not-a-candidate",
            )
        if name in seen:
            raise InputError(f'{where} lists "{name}" twice.', "List each image once.", code="duplicate-image")
        seen.add(name)
    due = min(length, len(candidates) - sum(name in candidates for name in query.excluded)) if candidates else length
    if len(names) < due:
        raise InputError(
            f"{where} lists {len(names)} images; {due} are required.", f"List the first {due}.", code="too-few-images"
        )


def _cirr_header(metric: str) -> dict[str, Any]:
    return {"version": VERSION, "metric": metric}


def _keyed_by_query(benchmark: Benchmark, lists: RankingLists) -> dict[str, Any]:
    rows = zip(benchmark.queries, lists, strict=True)
    if benchmark.name == "circo":
        return {query.id: [int(name) for name in names] for query, names in rows}
    if benchmark.name == "pinpoint":
        return {query.id: {"retrieved_items": names} for query, names in rows}
    return {query.id: names for query, names in rows}
