"""Latency, recall, build time, disk and memory of a gallery's store, on synthetic embeddings.

    python benchmarks/search.py --images 10000 100000 1000000 --peer faiss

The embeddings are a mixture, because uniform noise has no neighbours to find. Each of images / 50 clusters has a
centre uniform on the sphere; an image is its cluster's centre plus Gaussian noise of length about 0.6, and each of its
N embeddings is the image plus Gaussian noise of length about 0.7, L2-normalised. A query is the sum of an image and one
of another cluster (1 : 0.5) with noise of length about 0.3, like a composed query. Images have a price, uniform in
0…100, for filters. There are no thumbnails, which would add about 15 kB per image to the size on disk.

With --peer faiss, plain FAISS searches the same embeddings in the same process: an IVF index of 8-bit codes with exact
re-scoring ("faiss"), and a matrix product over all embeddings in float32 ("BLAS exact"). Compare ratios, because
latencies depend on the machine and on its load.

With --folder the galleries are kept, and a further call with the same folder measures them again.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from likebut.gallery.fields import Field, FieldType
from likebut.gallery.filters import parse_filter
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.search import search_page
from likebut.gallery.similarity import l2_normalise
from likebut.gallery.store import NewImage, StoredImage

BLOCK = 10_000
PRICE = Field("price", FieldType.NUMBER)
CHEAP = 10.0
K = 10
# Written last: if it exists, the gallery is complete.
BUILT = "built.json"


def noise(rng: np.random.Generator, shape: tuple[int, ...], length: float) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = rng.standard_normal(shape, dtype=np.float32) * (length / np.sqrt(shape[-1]))
    return values


def cluster_centres(images: int, width: int) -> npt.NDArray[np.float32]:
    return l2_normalise(np.random.default_rng(1).standard_normal((max(images // 50, 2), width), dtype=np.float32))


def block_of_embeddings(
    number: int, count: int, centres: npt.NDArray[np.float32], tokens: int
) -> npt.NDArray[np.float16]:
    rng = np.random.default_rng([2, number])
    width = centres.shape[1]
    images = centres[rng.integers(0, len(centres), count)] + noise(rng, (count, width), 0.6)
    return l2_normalise(images[:, None] + noise(rng, (count, tokens, width), 0.7)).astype(np.float16)


def make_queries(images: int, centres: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(3)
    width = centres.shape[1]
    pick = rng.integers(0, len(centres), (2, count))
    reference, other = (l2_normalise(centres[some] + noise(rng, (count, width), 0.6)) for some in pick)
    return l2_normalise(reference + 0.5 * other + noise(rng, (count, width), 0.3))


def identifier(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def price_of(number: int) -> float:
    return float(number * 7919 % 10_000) / 100


def new_images(first: int, embeddings: npt.NDArray[np.float16]) -> Iterator[NewImage]:
    for position, each in enumerate(embeddings):
        number = first + position
        signature = hashlib.shake_128(str(number).encode()).digest(192)
        metadata = {"price": price_of(number)}
        image = StoredImage(identifier(number), f"/pictures/{number}.jpg", 1, 1, 1, signature, None, metadata)
        yield NewImage(image, each, b"")


class Best:
    """The K best of every query so far, by exact similarity."""

    def __init__(self, queries: npt.NDArray[np.float32]) -> None:
        self.queries = queries
        self.scores = np.full((len(queries), K), -2, dtype=np.float32)
        self.numbers = np.full((len(queries), K), -1)

    def see(self, first: int, embeddings: npt.NDArray[np.float16], counts: npt.NDArray[np.bool_]) -> None:
        """Compare with further images, those that ``counts`` selects."""
        cosines = l2_normalise(embeddings) @ self.queries.T  # (count, N, Q)
        scores = np.where(counts[:, None], cosines.max(axis=1), -2).T  # (Q, count)
        numbers = np.broadcast_to(np.arange(first, first + len(embeddings)), scores.shape)
        scores, numbers = np.hstack([self.scores, scores]), np.hstack([self.numbers, numbers])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        self.scores = np.take_along_axis(scores, order, axis=1)
        self.numbers = np.take_along_axis(numbers, order, axis=1)


def build(folder: Path, images: int, tokens: int, width: int, queries: int) -> dict[str, object]:
    """Fill a gallery, and write the exact results next to it."""
    store = LanceStore(folder / "gallery", GalleryIdentity("synthetic", "", "", "", tokens, width))
    store.add_fields([PRICE])
    centres = cluster_centres(images, width)
    queries_made = make_queries(images, centres, queries)
    best, cheap = Best(queries_made), Best(queries_made)
    adding = 0.0
    for number, first in enumerate(range(0, images, BLOCK)):
        embeddings = block_of_embeddings(number, min(BLOCK, images - first), centres, tokens)
        everything = np.ones(len(embeddings), dtype=np.bool_)
        best.see(first, embeddings, everything)
        prices = np.array([price_of(each) for each in range(first, first + len(embeddings))])
        cheap.see(first, embeddings, prices < CHEAP)
        batch = list(new_images(first, embeddings))
        started = time.perf_counter()
        store.put(batch)
        adding += time.perf_counter() - started
    started = time.perf_counter()
    store.optimise()
    indexing = time.perf_counter() - started
    np.savez(folder / "truth.npz", queries=queries_made, all=best.numbers, cheap=cheap.numbers)
    health = store.health()
    figures: dict[str, object] = {
        "add seconds": round(adding, 1),
        "index seconds": round(indexing, 1),
        "index": health.search,
        "disk MB": round((health.disk_bytes or 0) / 1e6, 1),
        "build memory MB": _peak_memory(),
    }
    (folder / BUILT).write_text(json.dumps(figures))
    return figures


def measure(folder: Path, peer: bool, tokens: int) -> dict[str, object]:
    """Search a gallery that :func:`build` filled; in its own process, to measure its memory."""
    truth = np.load(folder / "truth.npz")
    started = time.perf_counter()
    store = LanceStore(folder / "gallery")
    search_page(store, truth["queries"][0], K)
    figures: dict[str, object] = {"first query ms": round(1000 * (time.perf_counter() - started), 1)}
    for query in truth["queries"][:20]:
        search_page(store, query, K)
    conditions = parse_filter({"price": {"<": CHEAP}}, store.fields())
    figures |= _timed(store, truth["queries"], truth["all"], (), False, "")
    figures |= _timed(store, truth["queries"], truth["cheap"], conditions, False, "filtered ")
    figures["search memory MB"] = _peak_memory()
    figures |= _timed(store, truth["queries"][:10], truth["all"], (), True, "exact ")
    if peer:
        figures |= measure_faiss(store, truth["queries"], truth["all"], tokens)
    return figures


def measure_faiss(
    store: LanceStore, queries: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], tokens: int
) -> dict[str, object]:
    """Search with the store, with plain FAISS and with a matrix product in turn, so that load affects all of them."""
    import faiss

    images, width = store.count(), queries.shape[1]
    centres = cluster_centres(images, width)
    vectors = np.empty((images * tokens, width), dtype=np.float32)
    for number, first in enumerate(range(0, images, BLOCK)):
        block = block_of_embeddings(number, min(BLOCK, images - first), centres, tokens)
        vectors[first * tokens : (first + len(block)) * tokens] = l2_normalise(block.reshape(-1, width))
    partitions = max(1, min(math.isqrt(len(vectors)), 2048))
    started = time.perf_counter()
    index = faiss.index_factory(width, f"IVF{partitions},SQ8", faiss.METRIC_INNER_PRODUCT)
    rng = np.random.default_rng(0)
    index.train(vectors[rng.choice(len(vectors), min(len(vectors), 64 * partitions), replace=False)])
    index.add(vectors)
    figures: dict[str, object] = {"faiss index seconds": round(time.perf_counter() - started, 1)}
    index.nprobe = 32
    faiss.omp_set_num_threads(1)
    by_image = vectors.reshape(images, tokens, width)

    def approximate(query: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        found = index.search(query[None], 200)[1]
        candidates = np.unique(found[found >= 0] // tokens)
        scores = (by_image[candidates] @ query).max(axis=1)
        return candidates[np.argsort(-scores, kind="stable")[:K]]

    def exact(query: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        scores = (vectors @ query).reshape(images, tokens).max(axis=1)
        return np.argsort(-scores)[:K] if images <= K else np.argpartition(-scores, K)[:K]

    for label, method, is_exact, count in (
        ("faiss", approximate, False, len(queries)),
        ("BLAS exact", exact, True, 10),
    ):
        own, other, recalls = [], [], []
        for query, expected in zip(queries[:count], truth, strict=False):
            started = time.perf_counter()
            search_page(store, query, K, exact=is_exact)
            between = time.perf_counter()
            found = method(query)
            own.append(1000 * (between - started))
            other.append(1000 * (time.perf_counter() - between))
            expected = expected[expected >= 0]
            recalls.append(len(set(expected.tolist()) & set(found.tolist())) / len(expected))
        figures |= {
            f"{label} p50 ms": round(float(np.median(other)), 2),
            f"{label} least ms": round(min(other), 2),
            f"{label} recall@10": round(float(np.mean(recalls)), 4),
            f"next to {label} p50 ms": round(float(np.median(own)), 2),
            f"next to {label} least ms": round(min(own), 2),
        }
    return figures


def _timed(
    store: LanceStore,
    queries: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    conditions: tuple[object, ...],
    exact: bool,
    label: str,
) -> dict[str, object]:
    times, recalls = [], []
    for query, numbers in zip(queries, truth, strict=False):
        started = time.perf_counter()
        page = search_page(store, query, K, conditions=conditions, exact=exact)  # type: ignore[arg-type]
        times.append(1000 * (time.perf_counter() - started))
        expected = {identifier(int(number)) for number in numbers if number >= 0}
        recalls.append(len(expected & {hit.id for hit in page.hits}) / len(expected))
    p50, p95 = np.percentile(times, [50, 95])
    return {
        f"{label}p50 ms": round(float(p50), 2),
        f"{label}p95 ms": round(float(p95), 2),
        f"{label}recall@10": round(float(np.mean(recalls)), 4),
    }


def _peak_memory() -> int:
    """Return the largest resident size of this process in MB, mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, not inherited from the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--tokens", type=int, default=8, help="N")
    parser.add_argument("--width", type=int, default=256, help="E")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="Keep the galleries here, and measure existing ones.")
    parser.add_argument("--peer", choices=["faiss"], help="Measure another library in the same run.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(options.measure, options.peer is not None, options.tokens)))
        return
    for images in options.images:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.folder or Path(temporary)) / str(images)
            figures: dict[str, object] = {"images": images, "tokens": options.tokens, "width": options.width}
            figures |= {"cores": os.cpu_count(), "machine": platform.machine()}
            if (folder / BUILT).is_file():
                figures |= json.loads((folder / BUILT).read_text())
            else:
                figures |= build(folder, images, options.tokens, options.width, options.queries)
            command = [sys.executable, __file__, "--measure", str(folder), "--tokens", str(options.tokens)]
            command += ["--peer", options.peer] if options.peer else []
            figures |= json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            print(json.dumps(figures | {"date": time.strftime("%Y-%m-%d")}), flush=True)


if __name__ == "__main__":
    main()
