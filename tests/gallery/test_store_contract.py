"""The contract of :class:`GalleryStore`, for every implementation."""

import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.store_samples import (
    FIELDS,
    IDENTITY,
    KINDS,
    embeddings_of,
    identifier,
    make_store,
    naive_scores,
    query,
    sample,
)
from likebut.gallery.fields import BUILT_IN_FIELDS
from likebut.gallery.filters import parse_filter
from likebut.gallery.search import search_page
from likebut.gallery.store import FileEntry, GalleryStore, SearchEffort

RED = {"colour": "red", "price": 10.0, "kids": True, "day": datetime(2024, 5, 1), "tags": ("a", "b")}
BLUE = {"colour": 'blue\'s "best" \\ 100%', "price": 20.5, "kids": False, "day": datetime(2024, 6, 1, 8), "tags": ()}


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> GalleryStore:
    made = make_store(request.param, tmp_path)
    made.add_fields(FIELDS)
    return made


def test_put_and_get(store: GalleryStore) -> None:
    images = [sample(1, **RED), sample(2, **BLUE), sample(3)]
    store.put(images)
    assert store.get([identifier(2), identifier(9), identifier(1)]) == {
        identifier(1): images[0].image,
        identifier(2): images[1].image,
    }
    assert store.thumbnail(identifier(3)) == b"jpeg\x03"
    assert store.thumbnail(identifier(9)) is None
    found = store.embeddings([identifier(2), identifier(9)])
    assert list(found) == [identifier(2)]
    np.testing.assert_array_equal(found[identifier(2)], embeddings_of(2))
    assert store.ids() == {identifier(1), identifier(2), identifier(3)}
    assert store.count() == 3
    assert store.identity == IDENTITY
    assert store.fields() == FIELDS


def test_an_empty_store(store: GalleryStore) -> None:
    assert store.nearest(query(0), 5) == []
    assert store.count() == 0 and store.ids() == set() and store.page(5) == [] and store.files() == {}
    assert store.get([]) == {} and store.embeddings([]) == {} and store.delete([]) == 0
    store.put([])
    store.update([])
    store.put_files([])
    store.remove_files([])
    store.optimise()


def test_put_replaces_images_with_the_same_id(store: GalleryStore) -> None:
    store.put([sample(1, colour="red"), sample(2, colour="red")])
    store.put([sample(1, colour="blue"), sample(3, colour="blue")])
    assert store.count() == 3
    assert store.get([identifier(1)])[identifier(1)].metadata == {"colour": "blue"}


def test_update_keeps_embeddings_and_thumbnail(store: GalleryStore) -> None:
    store.put([sample(1, **RED), sample(2)])
    changed = sample(1, colour="green").image
    store.update([changed, sample(7).image])
    assert store.get([identifier(1)])[identifier(1)] == changed
    assert store.count() == 2
    np.testing.assert_array_equal(store.embeddings([identifier(1)])[identifier(1)], embeddings_of(1))
    assert store.thumbnail(identifier(1)) == b"jpeg\x01"


def test_deleted_images_are_not_found(store: GalleryStore) -> None:
    store.put([sample(number) for number in range(20)])
    assert store.delete([identifier(3), identifier(4), identifier(99)]) == 2
    assert store.count() == 18
    assert store.get([identifier(3)]) == {}
    assert identifier(4) not in {each.image.id for each in store.nearest(embeddings_of(4)[0].astype(np.float32), 20)}


def test_pages_cover_every_image_once(store: GalleryStore) -> None:
    store.put([sample(number) for number in range(10)])
    store.put([sample(number) for number in range(10, 13)])
    seen = [image.id for start in range(0, 15, 5) for image in store.page(5, start)]
    assert seen == [identifier(number) for number in range(13)]


def test_fields_are_added_once_and_keep_their_order(store: GalleryStore) -> None:
    store.put([sample(1, colour="red")])
    store.add_fields(FIELDS)
    assert store.fields() == FIELDS


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {1, 2, 3}),
        ({"colour": "red"}, {1}),
        ({"colour": BLUE["colour"]}, {2}),
        ({"colour": {"!=": "red"}}, {2}),
        ({"colour": ["red", "green"]}, {1}),
        ({"colour": {"contains": 'BEST" \\ 1'}}, {2}),
        ({"colour": {"contains": "%"}}, {2}),
        ({"colour": "x' OR '1'='1"}, set()),
        ({"price": {"<": 20}}, {1}),
        ({"price": {">=": 10, "<=": 20.5}}, {1, 2}),
        ({"price": [10, 11]}, {1}),
        ({"kids": False}, {2}),
        ({"day": {">": "2024-05-01"}}, {2}),
        ({"day": "2024-05-01"}, {1}),
        ({"tags": "a"}, {1}),
        ({"tags": ["b", "c"]}, {1}),
        ({"tags": "ab"}, set()),
        ({"taken": {"<": "2020-01-03"}}, {1}),
        ({"width": {">": 101}, "bytes": {"<": 1003}}, {2}),
        ({"path": {"contains": "PICTURES/3"}}, {3}),
        ({"colour": "red", "price": 20.5}, set()),
    ],
)
def test_filters(store: GalleryStore, filters: dict[str, Any], expected: set[int]) -> None:
    store.put([sample(1, **RED), sample(2, **BLUE), sample(3)])
    conditions = parse_filter(filters, (*BUILT_IN_FIELDS, *store.fields()))
    wanted = {identifier(number) for number in expected}
    assert {each.image.id for each in store.nearest(query(0), 5, conditions)} == wanted
    assert {image.id for image in store.page(5, 0, conditions)} == wanted
    assert store.count(conditions) == len(wanted)


def test_nearest_is_the_largest_cosine_over_the_tokens(store: GalleryStore) -> None:
    images = [sample(number) for number in range(60)]
    store.put(images)
    store.optimise()
    for seed in range(5):
        truth = naive_scores(query(seed), images)
        best = sorted(truth, key=lambda image_id: -truth[image_id])[:10]
        hits = search_page(store, query(seed), 10).hits
        assert [hit.id for hit in hits] == best
        assert [hit.score for hit in hits] == pytest.approx([truth[image_id] for image_id in best], abs=1e-5)


def test_the_norm_of_the_query_does_not_matter(store: GalleryStore) -> None:
    images = [sample(number) for number in range(10)]
    store.put(images)
    once, thrice = (search_page(store, scale * query(1), 10).hits for scale in (1, 3))
    assert [hit.id for hit in once] == [hit.id for hit in thrice]
    assert once[0].score == pytest.approx(thrice[0].score, abs=1e-6)


def test_file_entries_are_stored_replaced_and_removed(store: GalleryStore) -> None:
    one = FileEntry("/a's.jpg", identifier(1), 10, 123)
    bad = FileEntry("/b.jpg", None, 0, 5, "The file is empty.")
    store.put_files([one, bad])
    assert store.files() == {one.path: one, bad.path: bad}
    newer = FileEntry("/a's.jpg", identifier(2), 11, 124)
    store.put_files([newer])
    store.remove_files(["/b.jpg", "/c.jpg"])
    assert store.files() == {one.path: newer}
    store.put_files([bad])
    assert store.health().skipped == 1


def test_effort_is_stored(store: GalleryStore) -> None:
    assert store.effort() == SearchEffort()
    store.set_effort(SearchEffort(probes=7, refine=2, candidates=33))
    assert store.effort() == SearchEffort(probes=7, refine=2, candidates=33)


VALUES = {
    "colour": st.sampled_from(["red", "Red", "o'b\"\\", "", "%_", "ßtraße", "二"]),
    "price": st.sampled_from([-1.5, 0.0, 2.0, 1e9]),
    "kids": st.booleans(),
    "day": st.sampled_from([datetime(2024, 1, 1), datetime(2024, 1, 1, 5), datetime(1950, 7, 3)]),
    "tags": st.lists(st.sampled_from(["a", "ab", "b'", ""]), unique=True, max_size=3).map(tuple),
}
PLAIN = ["=", "!=", "<", "<=", ">", ">="]


@st.composite
def one_filter(draw: st.DrawFn) -> dict[str, Any]:
    field = draw(st.sampled_from(FIELDS))
    value = draw(VALUES[field.name] if field.name != "tags" else st.sampled_from(["a", "ab", "b'", ""]))
    operators = {
        "text": ["=", "!=", "contains"],
        "truth": ["=", "!="],
        "labels": ["contains"],
    }.get(field.type.value, PLAIN)
    return {field.name: {draw(st.sampled_from(operators)): value}}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.fixed_dictionaries({}, optional=VALUES), min_size=1, max_size=12),
    filters=st.lists(one_filter(), min_size=1, max_size=3),
    gone=st.sets(st.integers(0, 11), max_size=4),
)
def test_stores_agree(rows: list[dict[str, Any]], filters: list[dict[str, Any]], gone: set[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = []
        for kind in KINDS:
            store = make_store(kind, Path(folder))
            store.add_fields(FIELDS)
            store.put([sample(number, **row) for number, row in enumerate(rows)])
            store.delete([identifier(number) for number in gone])
            for filter_ in filters:
                conditions = parse_filter(filter_, store.fields())
                page = search_page(store, query(len(rows)), 4, 1, conditions)
                results.append((kind, [(hit.id, hit.metadata, round(hit.score, 4)) for hit in page.hits], page.more))
    by_kind = [[result[1:] for result in results if result[0] == kind] for kind in KINDS]
    assert all(each == by_kind[0] for each in by_kind)


def test_many_near_duplicates_hide_no_other_image(store: GalleryStore) -> None:
    one = sample(1)
    copies = [replace(one, image=replace(one.image, id=identifier(100 + number))) for number in range(40)]
    store.put([*copies, sample(2), sample(3)])
    page = search_page(store, embeddings_of(1)[0].astype(np.float32), 2)
    assert [len(hit.duplicates) for hit in page.hits] == [39, 0] and page.more
