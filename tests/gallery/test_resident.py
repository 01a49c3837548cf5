"""The resident read path: equal to searching the table, at every version of it."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from helpers.store_samples import FIELDS, IDENTITY, identifier, make_store, query, sample
from likebut.errors import InputError
from likebut.gallery import lance_store, resident, snapshot
from likebut.gallery.filters import parse_filter
from likebut.gallery.lance_store import LanceStore
from likebut.gallery.lance_tables import remove_gallery
from likebut.gallery.memory_store import MemoryStore
from likebut.gallery.search import search_page
from likebut.gallery.store import GalleryStore, NewImage, SearchEffort

pytestmark = pytest.mark.skipif(not resident.is_available(), reason="needs faiss-cpu")

IMAGES = 3000
CHEAP = parse_filter({"price": {"<": 20}}, FIELDS)


def images(numbers: range) -> list[NewImage]:
    return [sample(number, price=float(number % 100)) for number in numbers]


def plain(numbers: range) -> list[NewImage]:
    return [sample(number) for number in numbers]


@pytest.fixture(autouse=True, scope="module")
def small_limits() -> Iterator[None]:
    """Let small galleries use every part of the path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lance_store, "EXACT_TOKENS", 100)
        patch.setattr(snapshot, "INDEX_TOKENS", 5000)
        patch.setattr(snapshot, "_SCORED_TOKENS", 300)
        patch.setattr(snapshot, "_SCANNED_TOKENS", 600)
        patch.setattr(snapshot, "_BLOCK_IMAGES", 700)
        patch.setattr(resident, "_BATCH_ROWS", 256)
        patch.setattr(resident, "_MIN_OUTDATED", 0)
        yield


@pytest.fixture(scope="module")
def indexed(small_limits: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[LanceStore, MemoryStore]:
    store, oracle = LanceStore(tmp_path_factory.mktemp("resident") / "gallery", IDENTITY), MemoryStore(IDENTITY)
    for each in (store, oracle):
        each.add_fields(FIELDS)
        each.put(images(range(IMAGES)))
    store.optimise()
    return store, oracle


def ids(store: GalleryStore, seed: int, k: int = 10, **options: object) -> list[str]:
    return [hit.id for hit in search_page(store, query(seed), k, **options).hits]


def assert_equal(store: GalleryStore, oracle: GalleryStore, **options: object) -> None:
    for seed in range(4):
        for conditions in ((), CHEAP):
            found, truth = (
                search_page(each, query(seed), 10, conditions=conditions, exact=True, **options)
                for each in (store, oracle)
            )
            assert [(hit.id, hit.path, hit.metadata) for hit in found.hits] == [
                (hit.id, hit.path, hit.metadata) for hit in truth.hits
            ]
            assert [hit.score for hit in found.hits] == [hit.score for hit in truth.hits]


def test_exact_search_equals_the_reference(indexed: tuple[LanceStore, MemoryStore]) -> None:
    assert_equal(*indexed)


@pytest.mark.parametrize("most", [5, 6, 20, 60])
def test_filters_of_every_selectivity(indexed: tuple[LanceStore, MemoryStore], most: int) -> None:
    store, oracle = indexed
    conditions = parse_filter({"price": {"<": most}}, FIELDS)
    recalls = []
    for seed in range(10):
        found, truth = (set(ids(each, seed, conditions=conditions)) for each in (store, oracle))
        recalls.append(len(found & truth) / len(truth))
    assert np.mean(recalls) >= (1.0 if most < 20 else 0.98)


@pytest.mark.parametrize("conditions", [(), CHEAP])
def test_the_index_has_a_high_recall(indexed: tuple[LanceStore, MemoryStore], conditions: tuple[object, ...]) -> None:
    store, oracle = indexed
    assert store.health().search == "IvfRaBitQ" and store.health().unindexed == 0
    recalls = []
    for seed in range(20):
        found, truth = (set(ids(each, seed, conditions=conditions)) for each in (store, oracle))
        recalls.append(len(found & truth) / len(truth))
    assert np.mean(recalls) >= 0.98


def test_paging_reaches_every_image(indexed: tuple[LanceStore, MemoryStore]) -> None:
    store, _ = indexed
    low = SearchEffort(probes=1, refine=1, candidates=1)
    assert len(store.nearest(query(0), IMAGES, effort=low)) < IMAGES, "the index must miss some"
    assert len(ids(store, 0, IMAGES, group_duplicates=False, effort=low)) == IMAGES


def test_unnormalised_embeddings_are_ranked_by_cosine(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    store, oracle = LanceStore(tmp_path / "gallery", IDENTITY), MemoryStore(IDENTITY)
    many = [
        replace(new, embeddings=(new.embeddings * rng.uniform(0.1, 4)).astype(np.float16)) for new in images(range(600))
    ]
    for each in (store, oracle):
        each.add_fields(FIELDS)
        each.put(many)
    store.optimise()
    assert store.health().search == "exact"
    assert_equal(store, oracle)


CHANGES = st.lists(st.tuples(st.sampled_from(["put", "update", "delete", "optimise"]), st.integers(0, 60)), max_size=8)


@settings(max_examples=20, deadline=None)
@given(CHANGES)
@example([("update", 0), ("update", 1)])
@example([("put", 3), ("update", 3), ("delete", 4), ("optimise", 0), ("update", 60)])
def test_every_version_equals_the_reference(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    store = make_store("resident", tmp_path_factory.mktemp("changes"))
    other = LanceStore(store.location)  # type: ignore[attr-defined]
    oracle = MemoryStore(IDENTITY)
    for each in (store, oracle):
        each.add_fields(FIELDS)
        each.put(images(range(50)))
    for change, number in changes:
        for each in (store, oracle):
            match change:
                case "put":
                    each.put([replace(sample(number, price=1.0), embeddings=sample(number + 500).embeddings)])
                case "update":
                    each.update([replace(sample(number, price=99.0).image, path="/moved")])
                case "delete":
                    each.delete([identifier(number), identifier(number + 1)])
                case "optimise":
                    each.optimise()
        assert_equal(store, oracle, group_duplicates=False)
        assert_equal(other, oracle, group_duplicates=False)


def test_readers_see_a_new_snapshot_and_reuse_its_partitions(tmp_path: Path) -> None:
    store, oracle = LanceStore(tmp_path / "gallery", IDENTITY), MemoryStore(IDENTITY)
    for each in (store, oracle):
        each.add_fields(FIELDS)
        each.put(images(range(2000)))
    store.optimise()
    reader = LanceStore(tmp_path / "gallery")
    assert reader.health().unindexed == 0
    for each in (store, oracle):
        each.put(images(range(5000, 5500)))
        each.delete([identifier(number) for number in range(100)])
    assert reader.health().unindexed == 500
    assert_equal(reader, oracle)
    store.optimise()
    assert reader.health().unindexed == 0 and reader.health().search == "IvfRaBitQ"
    assert_equal(reader, oracle)
    assert len(list((tmp_path / "gallery" / ".resident").iterdir())) == 1, "the previous snapshot is removed"


def test_many_changes_are_searched_in_the_table_until_the_next_build(tmp_path: Path) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)
    store.put(plain(range(100)))
    store.optimise()
    assert store._resident is not None and store._resident.view() is not None
    store.put(plain(range(100, 200)))
    assert store._resident.view() is None
    assert identifier(150) in ids(store, 0, 200, group_duplicates=False)
    store.optimise()
    assert store._resident.view() is not None


def test_galleries_above_the_memory_limit_are_searched_in_the_table(tmp_path: Path) -> None:
    LanceStore(tmp_path / "gallery", IDENTITY).put(plain(range(400)))
    small = LanceStore(tmp_path / "gallery", resident_bytes=1000)
    small.optimise()
    assert not (tmp_path / "gallery" / ".resident").exists() and small.health().search == "IvfRq"
    LanceStore(tmp_path / "gallery").optimise()
    assert small._resident is not None and small._resident.view() is None
    assert len(ids(small, 0)) == 10


def test_the_memory_limit_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEBUT_RESIDENT_MB", "3")
    assert resident.default_memory() == 3 << 20
    monkeypatch.setenv("LIKEBUT_RESIDENT_MB", "0")
    assert LanceStore(tmp_path / "gallery", IDENTITY)._resident is None


@pytest.mark.parametrize("name", ["snapshot.json", "rows.npy", "cards.arrow", "embeddings-0.faiss", "index.faiss"])
def test_a_damaged_snapshot_is_not_used_and_replaced(tmp_path: Path, name: str) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)
    store.add_fields(FIELDS)
    store.put(images(range(2000)))
    store.optimise()
    (path,) = (tmp_path / "gallery" / ".resident").glob(f"*/{name}")
    beginning = path.read_bytes()[:20]
    path.unlink()  # truncating it would take the pages away from those that map it
    path.write_bytes(beginning)
    again = LanceStore(tmp_path / "gallery")
    assert len(ids(again, 0)) == 10 and again._resident is not None and again._resident.view() is None
    again.optimise()
    assert again._resident.view() is not None


def test_a_rebuilt_gallery_does_not_use_the_previous_snapshot(tmp_path: Path) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)
    store.put(plain(range(200)))
    store.optimise()
    assert len(store.nearest(query(0), 5)) == 5
    remove_gallery(tmp_path / "gallery")
    same = LanceStore(tmp_path / "gallery", IDENTITY)
    same.put(plain(range(1000, 1200)))
    assert set(ids(store, 0, 200, group_duplicates=False)) == {identifier(number) for number in range(1000, 1200)}
    remove_gallery(tmp_path / "gallery")
    other = LanceStore(tmp_path / "gallery", replace(IDENTITY, weights_sha256="other"))
    other.put(plain(range(200)))
    other.optimise()
    with pytest.raises(InputError) as error:
        store.nearest(query(0), 5)
    assert error.value.code == "gallery-rebuilt"


def test_threads_search_while_one_writes(tmp_path: Path) -> None:
    store = LanceStore(tmp_path / "gallery", IDENTITY)
    store.add_fields(FIELDS)
    store.put(images(range(500)))
    store.optimise()
    deleted: set[str] = set()
    failures: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            gone = set(deleted)
            found = ids(store, 0, 50, conditions=CHEAP)
            if gone & set(found) or not found:
                failures.append(gone & set(found))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(40):
        store.delete([identifier(number)])
        deleted.add(identifier(number))
        store.put(images(range(1000 + number, 1001 + number)))
        if number % 15 == 0:
            store.optimise()
    done.set()
    for reader in readers:
        reader.join()
    assert not failures
