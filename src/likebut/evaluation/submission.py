"""Files for the test servers of CIRR and CIRCO, checked against the servers' stated limits before they are written."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from likebut.data.triplets import Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.evaluator import RankedBenchmark
from likebut.evaluation.ranking_files import (
    GALLERY_LENGTH,
    SUBSET_LENGTH,
    RankingLists,
    parse_circo_rankings,
    parse_cirr_rankings,
    ranking_content,
    read_ranking_file,
    subset_ranking_content,
)
from likebut.files import write_text

MAX_BYTES = 5_000_000
"""Size limit of each of CIRR's files, as its server's page states; CIRCO's server states none."""


def write_submission(ranked: RankedBenchmark, folder: Path) -> list[Path]:
    """Write the files to upload into ``folder`` and return their paths; nothing is written if one is invalid.

    Raises:
        InputError: A file violates one of the server's limits.
    """
    files = build_submission(ranked)
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]


def build_submission(ranked: RankedBenchmark) -> dict[str, str]:
    """Return the files to upload, by file name.

    Servers reject short rankings, so images that could not be ranked come last, in the benchmark's order; a query whose
    reference image cannot be used has nothing else.

    Args:
        ranked: A split of CIRR or CIRCO, ranked.

    Raises:
        InputError: A file violates one of the server's limits.
    """
    benchmark = ranked.benchmark
    stem = f"{benchmark.name}_{benchmark.split}"
    lists = _pad(benchmark, ranked.rankings.gallery, lambda _: benchmark.gallery, GALLERY_LENGTH)
    gallery = ranking_content([benchmark], [lists])
    contents = {f"{stem}.json": gallery}
    if benchmark.name == "cirr":
        subsets = _pad(benchmark, ranked.rankings.subset, lambda query: query.subset, SUBSET_LENGTH)
        contents = {
            f"{stem}_recall.json": gallery,
            f"{stem}_recall_subset.json": subset_ranking_content(benchmark, subsets),
        }
    files = {name: json.dumps(content) for name, content in contents.items()}
    for name, content in contents.items():
        check_submission(benchmark, content, name, len(files[name].encode()))
    return files


def check_file(benchmark: Benchmark, path: Path) -> None:
    """Check a file as :func:`check_submission` does.

    Raises:
        InputError: The file is missing, or violates one of the server's limits.
    """
    check_submission(benchmark, read_ranking_file(path), str(path), path.stat().st_size)


def check_submission(benchmark: Benchmark, content: Mapping[str, Any], where: str, size: int) -> None:
    """Check a file for a test server: every query is ranked, rankings have the required length, the size is allowed.

    Args:
        benchmark: The split of CIRR or CIRCO that the file ranks.
        content: The file's content.
        where: The file, for messages.
        size: The file's size in bytes.

    Raises:
        InputError: The file violates one of the server's limits.
    """
    if size > MAX_BYTES:
        raise InputError(
            f"{where} has {size} bytes; the server accepts {MAX_BYTES}.",
            "List fewer images, without indentation.",
            code="too-large",
        )
    longest = GALLERY_LENGTH
    if benchmark.name == "circo":
        lists = parse_circo_rankings(content, benchmark, where)
    else:
        metric = "recall_subset" if content.get("metric") == "recall_subset" else "recall"
        longest = SUBSET_LENGTH if metric == "recall_subset" else GALLERY_LENGTH
        lists = parse_cirr_rankings(content, benchmark, metric, where)
    for query, names in zip(benchmark.queries, lists, strict=True):
        if len(names) > longest:
            raise InputError(
                f"{where}: query {query.id} lists {len(names)} images; the server accepts {longest}.",
                f"List the first {longest}.",
                code="too-many-images",
            )


def _pad(
    benchmark: Benchmark, lists: RankingLists, candidates_of: Callable[[Query], Sequence[str]], length: int
) -> RankingLists:
    """Return rankings extended to ``length`` with the candidates that they lack."""
    padded = []
    for query, names in zip(benchmark.queries, lists, strict=True):
        left_out = {*names, *query.excluded}
        rest = (name for name in candidates_of(query) if name not in left_out)
        padded.append([*names, *islice(rest, max(0, length - len(names)))])
    return padded
