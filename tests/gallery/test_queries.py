import numpy as np
import pytest
from PIL import Image

from helpers.fake_retriever import FakeRetriever, text_direction
from likebut.errors import InputError
from likebut.gallery.queries import NEGATIVE_STRENGTH, QueryWeights, Reference, embed_query


@pytest.mark.parametrize(
    ("has_images", "has_text", "weight", "expected"),
    [
        (False, True, 0.9, QueryWeights(text=1)),
        (True, False, 0.1, QueryWeights(image=1)),
        (True, True, 0.0, QueryWeights(text=1)),
        (True, True, 0.25, QueryWeights(text=0.5, composed=0.5)),
        (True, True, 0.5, QueryWeights(composed=1)),
        (True, True, 0.75, QueryWeights(composed=0.5, image=0.5)),
        (True, True, 1.0, QueryWeights(image=1)),
    ],
)
def test_query_weights(has_images: bool, has_text: bool, weight: float, expected: QueryWeights) -> None:
    assert QueryWeights.of(has_images, has_text, weight) == expected


def test_negative_text_is_subtracted() -> None:
    query = embed_query(FakeRetriever(), [], "red", "blue", QueryWeights(text=1))
    expected = text_direction("red") - NEGATIVE_STRENGTH * text_direction("blue")
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-6)


def test_stored_embeddings_are_used_instead_of_encoding() -> None:
    class NoImages(FakeRetriever):
        def embed_images(self, images: object) -> np.ndarray:
            raise AssertionError("the reference has stored embeddings")

    stored = np.stack([text_direction("red"), text_direction("blue")]).astype(np.float16)
    query = embed_query(NoImages(), [Reference(embeddings=stored)], "", "", QueryWeights(image=1))
    expected = text_direction("red") + text_direction("blue")
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-3)


def test_references_with_and_without_stored_embeddings_are_weighted_equally() -> None:
    stored = np.stack([text_direction("blue")] * 2).astype(np.float16)
    references = [Reference(image=Image.new("RGB", (4, 4), (255, 0, 0))), Reference(embeddings=stored)]
    query = embed_query(FakeRetriever(), references, "", "", QueryWeights(image=1))
    expected = text_direction("red") + text_direction("blue")
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-3)


def test_components_that_cancel_out() -> None:
    opposite = -np.stack([text_direction("red")] * 2).astype(np.float16)
    same = -opposite
    with pytest.raises(InputError) as error:
        references = [Reference(embeddings=same), Reference(embeddings=opposite)]
        embed_query(FakeRetriever(), references, "", "", QueryWeights(image=1))
    assert error.value.code == "zero-query"


def test_composed_queries_are_averaged_over_the_references() -> None:
    images = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    query = embed_query(
        FakeRetriever(), [Reference(image=each) for each in images], "green", "", QueryWeights(composed=1)
    )
    expected = FakeRetriever().embed_queries(images, ["green"] * 2).mean(axis=0)
    np.testing.assert_allclose(query, expected / np.linalg.norm(expected), atol=1e-6)
