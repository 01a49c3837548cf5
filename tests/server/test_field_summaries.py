from datetime import datetime

from helpers.server_samples import COLOURS, FIELDS, filled_gallery, picture, stored
from likebut.gallery.fields import Field, FieldType
from likebut.gallery.store import StoredImage
from likebut.server.field_summaries import FieldSummaries, FieldSummary, summarise


def image(number: int, **metadata: object) -> StoredImage:
    return StoredImage(f"{number:064x}", f"/{number}.jpg", 10, 20 + number, 30, bytes(192), None, metadata)  # type: ignore[arg-type]


def test_summary_of_each_type() -> None:
    images = [
        image(0, colour="red", price=2.5, kids=True, season=datetime(2024, 5, 1), tags=("a", "b")),
        image(1, colour="blue", price=-1.0, kids=False, season=datetime(2023, 1, 2, 3), tags=("b",)),
        image(2, colour="red"),
    ]
    found = {each.field.name: each for each in summarise((*FIELDS, Field("width", FieldType.NUMBER)), images)}
    assert found["colour"] == FieldSummary(FIELDS[0], 3, (("red", 2), ("blue", 1)))
    assert found["price"] == FieldSummary(FIELDS[1], 2, None, -1, 2.5)
    assert found["kids"] == FieldSummary(FIELDS[2], 2)
    assert found["season"] == FieldSummary(FIELDS[3], 2, None, "2023-01-02T03:00:00", "2024-05-01T00:00:00")
    assert found["tags"] == FieldSummary(FIELDS[4], 2, (("b", 2), ("a", 1)))
    assert found["width"].least == 20 and found["width"].most == 22


def test_many_distinct_texts_are_not_listed() -> None:
    colour = FIELDS[0]
    (many,) = summarise([colour], [image(n, colour=f"colour {n}") for n in range(61)])
    (long,) = summarise([colour], [image(0, colour="x" * 81)])
    (few,) = summarise([colour], [image(n, colour=f"colour {n % 60}") for n in range(200)])
    assert many.values is None and long.values is None
    assert few.values is not None and len(few.values) == 60
    assert summarise([colour], []) == (FieldSummary(colour, 0, ()),)


def test_summaries_are_cached_until_invalidated() -> None:
    gallery = filled_gallery()
    summaries = FieldSummaries(gallery)
    before = {each.field.name: each.images for each in summaries.all()}
    assert before["colour"] == len(COLOURS)
    gallery.store.put([stored(picture((1, 1, 1)), gallery.retriever, "/new.png", {"colour": "new"})])
    assert {each.field.name: each.images for each in summaries.all()} == before
    summaries.invalidate()
    assert {each.field.name: each.images for each in summaries.all()}["colour"] == len(COLOURS) + 1
