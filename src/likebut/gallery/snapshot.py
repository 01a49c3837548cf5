"""Snapshots of a gallery for searching in memory: files that FAISS maps, their writing, and searches in them."""

import json
import math
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from likebut.gallery.lance_schema import CARD, embeddings_from_table
from likebut.gallery.similarity import l2_normalise, score
from likebut.gallery.store import SearchEffort, TargetEmbeddings, Vector

# With fewer embeddings, scanning all of them is as fast as visiting partitions.
INDEX_TOKENS = 20_000
# If a filter leaves at most this many embeddings, all of them are scored.
_SCORED_TOKENS = 4_000
# If it leaves at most a quarter of the images and this many embeddings, scanning them is faster than visiting the many
# partitions over which the nearest of them are spread.
_SCANNED_TOKENS = 20_000
_SCANNED_FRACTION = 0.25
_MAX_WIDENING = 10
# Maximum factor by which a selective filter raises the number of candidates: their codes rank them less reliably.
_MAX_MORE_CANDIDATES = 4
_MAX_PARTITIONS = 4096
# An index is retrained when the number of partitions would grow by this factor: when the gallery has doubled.
_MAX_PARTITION_GROWTH = math.sqrt(2)
_SAMPLES_PER_PARTITION = 64
_KMEANS_ITERATIONS = 10
_BLOCK_IMAGES = 16_384

Mask = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Rows = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Selection:
    """The images of a snapshot that a search considers."""

    mask: Mask
    tokens: int
    _parts: dict[int, "Selection"] = field(default_factory=dict)

    @cached_property
    def count(self) -> int:
        """Number of images."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def selector(self) -> Any:
        """The selection as a FAISS selector of tokens."""
        import faiss

        return faiss.IDSelectorBitmap(np.packbits(np.repeat(self.mask, self.tokens), bitorder="little"))

    def part(self, first: int, count: int) -> "Selection":
        """Return the selection of the images ``first … first + count``; it is cached with its selector."""
        if first not in self._parts:
            self._parts[first] = Selection(self.mask[first : first + count], self.tokens)
        return self._parts[first]


class Snapshot:
    """A snapshot of G images: memory-mapped embeddings and cards, and the index in memory."""

    def __init__(self, folder: Path, tokens: int, width: int) -> None:
        import faiss

        self.folder, self.tokens, self.width = folder, tokens, width
        described = json.loads((folder / "snapshot.json").read_text())
        self._inverse_norms: list[float] = described["inverse_norms"]
        self.version: int = described["version"]
        self._block_images: int = described["block_images"]
        self.rows: Rows = np.load(folder / "rows.npy")
        self._order = np.argsort(self.rows)
        with pa.memory_map(str(folder / "cards.arrow")) as source:
            self._cards = pa.ipc.open_file(source).read_all()[CARD]
        self._blocks = [
            faiss.read_index(str(folder / f"embeddings-{number}.faiss"), faiss.IO_FLAG_MMAP_IFC)
            for number in range(described["blocks"])
        ]
        # Views of the mapped files, which the blocks keep open.
        self._embeddings = [
            faiss.rev_swig_ptr(block.codes.data(), block.ntotal * width * 2).view(np.float16).reshape(-1, tokens, width)
            for block in self._blocks
        ]
        index = folder / "index.faiss"
        # Codes are a tenth of the embeddings. Searches read them at random, which is slower in a mapped file.
        self._index = faiss.read_index(str(index)) if index.is_file() else None
        threading.Thread(target=self._map_pages, name="map embeddings", daemon=True).start()

    def __len__(self) -> int:
        """Return G."""
        return len(self.rows)

    @property
    def is_indexed(self) -> bool:
        """Whether there is an index besides the embeddings."""
        return self._index is not None

    def positions_of(self, rows: Rows) -> Positions:
        """Return the position of each row; -1 for rows that are not in the snapshot."""
        if not len(self.rows):
            return np.full(len(rows), -1, dtype=np.int64)
        places = self._order[np.minimum(np.searchsorted(self.rows, rows, sorter=self._order), len(self.rows) - 1)]
        return np.where(self.rows[places] == rows, places, -1)

    def cards(self, positions: Positions) -> list[str]:
        """Return the cards of images."""
        return [self._cards[int(position)].as_py() for position in positions]

    def embeddings(self, positions: Positions) -> TargetEmbeddings:
        """Return the embeddings of images: (B, N, E)."""
        found = np.empty((len(positions), self.tokens, self.width), dtype=np.float16)
        numbers = positions // self._block_images
        for number in np.unique(numbers):
            chosen = numbers == number
            found[chosen] = self._embeddings[number][positions[chosen] - number * self._block_images]
        return found

    def _vectors(self, tokens: Positions) -> TargetEmbeddings:
        """Return single embeddings, by their positions among the tokens of all images: (B, E)."""
        found = np.empty((len(tokens), self.width), dtype=np.float16)
        numbers = tokens // (self._block_images * self.tokens)
        for number in np.unique(numbers):
            chosen = numbers == number
            first = number * self._block_images * self.tokens
            found[chosen] = self._embeddings[number].reshape(-1, self.width)[tokens[chosen] - first]
        return found

    def _map_pages(self) -> None:
        """Touch every page, so that the first searches do not wait for single page faults."""
        for block in self._embeddings:
            block.reshape(-1).view(np.uint8)[:: mmap.PAGESIZE].max(initial=0)

    def nearest(
        self, query: Vector, limit: int, selection: "Selection | None", effort: SearchEffort, exact: bool
    ) -> tuple[Positions, TargetEmbeddings]:
        """Return positions and embeddings of the images nearest to an L2-normalised query, best first."""
        import faiss

        faiss.omp_set_num_threads(1)  # of the calling thread; one query is too small to be shared
        images = len(self) if selection is None else selection.count
        limit = min(limit, images)
        if images * self.tokens <= _SCORED_TOKENS:
            every = np.arange(len(self)) if selection is None else np.flatnonzero(selection.mask)
            return self._best(query, every, limit)[:2]
        is_selective = images <= _SCANNED_FRACTION * len(self) and images * self.tokens <= _SCANNED_TOKENS
        if exact or self._index is None or is_selective:
            return self._scan(query, limit, selection, images)
        widening = min(len(self) / images, _MAX_WIDENING)
        # The nearest of a tenth of the images are spread over more partitions than the nearest of all of them.
        probes = min(math.ceil(effort.probes * widening), self._index.nlist)
        options = {} if selection is None else {"sel": selection.selector}
        parameters = faiss.SearchParametersIVF(nprobe=probes, **options)
        # The index ranks tokens, of which an image may take up N.
        count = max(2 * limit * self.tokens, effort.candidates * effort.refine)
        count = math.ceil(count * min(widening, _MAX_MORE_CANDIDATES))
        _, found = self._index.search(query[None], min(count, images * self.tokens), params=parameters)
        found = found[found >= 0]
        # The tokens that were found decide which images are nearest; their other tokens need not be read for that.
        order = np.argsort(-score(query, self._vectors(found)[:, None]), kind="stable")
        ranked = found[order] // self.tokens
        _, first = np.unique(ranked, return_index=True)
        best = ranked[np.sort(first)][:limit]
        return best, self.embeddings(best)

    def _scan(
        self, query: Vector, limit: int, selection: "Selection | None", images: int
    ) -> tuple[Positions, TargetEmbeddings]:
        """Compare with every image. Tokens are ranked by inner product, which rounding makes differ from the cosine."""
        count = limit * self.tokens
        while True:
            products, found = self._scan_tokens(query, count, selection)
            positions, embeddings, scores = self._best(query, np.unique(found // self.tokens), limit)
            least = float(products.min())
            highest_other = max(least * inverse for inverse in self._inverse_norms)
            if len(found) >= images * self.tokens or scores.min() >= highest_other:
                return positions, embeddings
            count *= 2

    def _scan_tokens(
        self, query: Vector, count: int, selection: "Selection | None"
    ) -> tuple[npt.NDArray[np.float32], Positions]:
        import faiss

        products, tokens = [], []
        for number, block in enumerate(self._blocks):
            first = number * self._block_images
            options = {}
            if selection is not None:
                part = selection.part(first, self._block_images)
                if not part.count:
                    continue
                options["params"] = faiss.SearchParameters(sel=part.selector)
            scores, found = block.search(query[None], min(count, block.ntotal), **options)
            products.append(scores[found >= 0])
            tokens.append(found[found >= 0] + first * self.tokens)
        joined, every = np.concatenate(products), np.concatenate(tokens)
        top = np.argpartition(-joined, count - 1)[:count] if len(joined) > count else slice(None)
        return joined[top], every[top]

    def _best(
        self, query: Vector, positions: Positions, limit: int
    ) -> tuple[Positions, TargetEmbeddings, npt.NDArray[np.float32]]:
        embeddings = self.embeddings(positions)
        scores = score(query, embeddings) if len(positions) else np.empty(0, dtype=np.float32)
        best = np.argsort(-scores, kind="stable")[:limit]
        return positions[best], embeddings[best], scores[best]


def write_snapshot(
    folder: Path, batches: Iterator[pa.Table], tokens: int, width: int, version: int, previous: Path | None
) -> None:
    """Write the files of a snapshot.

    Args:
        folder: Created.
        batches: Rows with their ids, cards and embeddings.
        tokens: N.
        width: E.
        version: Version of the table that the rows are of.
        previous: A snapshot whose partitions are reused, unless the gallery has doubled since their training.
    """
    import faiss

    folder.mkdir()
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    rows: list[Rows] = []
    norms = [1.0, 1.0]
    blocks = 0
    pending: list[npt.NDArray[np.float32]] = []
    schema = pa.schema([(CARD, pa.string())])

    def write_block(vectors: npt.NDArray[np.float32]) -> None:
        nonlocal blocks
        block = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        block.train(vectors[:1])
        block.add(vectors)
        faiss.write_index(block, str(folder / f"embeddings-{blocks}.faiss"))
        blocks += 1

    with pa.OSFile(str(folder / "cards.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_table(batch.select([CARD]).cast(schema))
            rows.append(batch["_rowid"].to_numpy())
            vectors = embeddings_from_table(batch, width).reshape(-1, width).astype(np.float32)
            lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
            norms = [min(norms[0], float(lengths.min())), max(norms[1], float(lengths.max()))]
            pending.append(vectors)
            while sum(map(len, pending)) >= _BLOCK_IMAGES * tokens:
                joined = np.concatenate(pending)
                write_block(joined[: _BLOCK_IMAGES * tokens])
                pending = [joined[_BLOCK_IMAGES * tokens :]]
    if pending and sum(map(len, pending)):
        write_block(np.concatenate(pending))
    every = np.concatenate(rows) if rows else np.empty(0, dtype=np.uint64)
    np.save(folder / "rows.npy", every)
    if len(every) * tokens >= INDEX_TOKENS:
        files = [folder / f"embeddings-{number}.faiss" for number in range(blocks)]
        faiss.write_index(_train_index(files, len(every) * tokens, width, previous), str(folder / "index.faiss"))
    described = {
        "version": version,
        "blocks": blocks,
        "block_images": _BLOCK_IMAGES,
        "inverse_norms": [1 / norms[1], 1 / norms[0]],
    }
    (folder / "snapshot.json").write_text(json.dumps(described))


def _train_index(blocks: Sequence[Path], count: int, width: int, previous: Path | None) -> Any:
    import faiss

    partitions = max(1, min(3 * math.isqrt(count) // 2, _MAX_PARTITIONS))
    if previous is not None and (previous / "index.faiss").is_file():
        index = faiss.read_index(str(previous / "index.faiss"))
        if partitions <= _MAX_PARTITION_GROWTH * index.nlist:
            index.reset()
            for path in blocks:
                index.add(_normalised_block(path))
            return index
    samples = partitions * _SAMPLES_PER_PARTITION
    rng = np.random.default_rng(0)
    fraction = min(1.0, samples / count)
    parts = []
    for path in blocks:
        vectors = _normalised_block(path)
        parts.append(vectors[rng.permutation(len(vectors))[: math.ceil(fraction * len(vectors))]])
    index = faiss.index_factory(width, f"IVF{partitions},RaBitQ", faiss.METRIC_L2)
    index.cp.niter, index.cp.max_points_per_centroid = _KMEANS_ITERATIONS, _SAMPLES_PER_PARTITION
    index.train(np.concatenate(parts))
    for path in blocks:
        index.add(_normalised_block(path))
    return index


def _normalised_block(path: Path) -> npt.NDArray[np.float32]:
    import faiss

    block = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    return l2_normalise(block.reconstruct_n(0, block.ntotal))
