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
    Lists,
    circo_lists,
    cirr_lists,
    ranking_content,
    read_object,
    subset_ranking_content,
)
from likebut.files import write_text

MAX_BYTES = 5_000_000
"""Of each of CIRR's files, by its server's page; CIRCO's server states no limit, and its files stay far below."""


def build_submission(ranked: RankedBenchmark) -> dict[str, str]:
    """Return the files to upload, by file name.

    A server takes no shorter rankings than it says, so images that could not be ranked come last, in the benchmark's
    order; a query whose reference image could not be used has nothing else.

    Args:
        ranked: A split of CIRR or CIRCO, ranked.

    Raises:
        InputError: A file breaks one of the server's limits.
    """
    benchmark = ranked.benchmark
    stem = f"{benchmark.name}_{benchmark.split}"
    lists = _filled(benchmark, ranked.rankings.gallery, lambda _: benchmark.gallery, GALLERY_LENGTH)
    gallery = ranking_content([benchmark], [lists])
    contents = {f"{stem}.json": gallery}
    if benchmark.name == "cirr":
        subsets = _filled(benchmark, ranked.rankings.subset, lambda query: query.subset, SUBSET_LENGTH)
        contents = {
            f"{stem}_recall.json": gallery,
            f"{stem}_recall_subset.json": subset_ranking_content(benchmark, subsets),
        }
    files = {name: json.dumps(content) for name, content in contents.items()}
    for name, content in contents.items():
        check_submission(benchmark, content, name, len(files[name].encode()))
    return files


def _filled(benchmark: Benchmark, lists: Lists, candidates_of: Callable[[Query], Sequence[str]], length: int) -> Lists:
    filled = []
    for query, names in zip(benchmark.queries, lists, strict=True):
        left_out = {*names, *query.excluded}
        rest = (name for name in candidates_of(query) if name not in left_out)
        filled.append([*names, *islice(rest, max(0, length - len(names)))])
    return filled


def check_submission(benchmark: Benchmark, content: Mapping[str, Any], where: str, size: int) -> None:
    """Check a file for a test server: every query, no more and no fewer images than it takes, its size.

    Args:
        benchmark: The split of CIRR or CIRCO that the file ranks.
        content: The file's content.
        where: The file, for the message.
        size: The file's size in bytes.

    Raises:
        InputError: The file breaks one of the server's limits.
    """
    if size > MAX_BYTES:
        raise InputError(
            f"{where} has {size} bytes; the server takes {MAX_BYTES}.", "List fewer images, without indentation."
        )
    if benchmark.name == "circo":
        _check_lengths(benchmark, circo_lists(content, benchmark, where), where, GALLERY_LENGTH)
        return
    metric = "recall_subset" if content.get("metric") == "recall_subset" else "recall"
    longest = SUBSET_LENGTH if metric == "recall_subset" else GALLERY_LENGTH
    _check_lengths(benchmark, cirr_lists(content, benchmark, metric, where), where, longest)


def check_file(benchmark: Benchmark, path: Path) -> None:
    """Check a file as :func:`check_submission` does.

    Raises:
        InputError: The file is missing, or breaks one of the server's limits.
    """
    check_submission(benchmark, read_object(path), str(path), path.stat().st_size)


def _check_lengths(benchmark: Benchmark, lists: Sequence[Sequence[str]], where: str, longest: int) -> None:
    for query, names in zip(benchmark.queries, lists, strict=True):
        if len(names) > longest:
            raise InputError(
                f"{where}: query {query.id} lists {len(names)} images; the server takes {longest}.",
                f"List the first {longest}.",
            )


def write_submission(ranked: RankedBenchmark, folder: Path) -> list[Path]:
    """Write the files to upload into ``folder`` and return their paths; nothing is written if one is wrong.

    Raises:
        InputError: A file breaks one of the server's limits.
    """
    files = build_submission(ranked)
    for name, text in files.items():
        write_text(folder / name, text)
    return [folder / name for name in files]
