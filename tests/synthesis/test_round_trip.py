import pytest
import torch

from helpers.synthesis_fakes import NumberRetriever, NumberTokens
from likebut.synthesis.round_trip import RoundTrip, RoundTripRank


def names(*found: int) -> list[str]:
    return [str(number) for number in found]


def test_known_ranks() -> None:
    trip = RoundTrip(NumberRetriever(), NumberTokens())
    # A query that ends in 10 lies on image 10; 14 is fourth after 11, 8 and 13.
    found = trip.ranks(
        names(0, 0, 0), ["to 10", "to 10", "to 10"], names(10, 14, 14), [names(11, 8), names(11, 8, 13, 20), []]
    )
    assert found == [RoundTripRank(1, 2), RoundTripRank(4, 4), RoundTripRank(1, 0)]


def test_a_tie_counts_against_the_target() -> None:
    class AllAlike(NumberRetriever):
        def embed_image_tokens(self, image_tokens: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 0.0]).expand(len(image_tokens), 1, 2)

    assert RoundTrip(AllAlike(), NumberTokens()).ranks(names(0), ["to 3"], names(3), [names(4, 5)]) == [
        RoundTripRank(3, 2)
    ]


def test_reference_target_and_copies_are_no_candidates() -> None:
    class Twins(NumberTokens):
        def content(self, name: str) -> str:
            return "twin" if name in ("3", "33") else name

    trip = RoundTrip(NumberRetriever(), Twins())
    assert trip.ranks(names(5), ["to 3"], names(3), [names(5, 3, 33, 4, 4)]) == [RoundTripRank(1, 1)]


def test_the_best_of_an_images_embeddings_counts() -> None:
    class TwoEmbeddings(NumberRetriever):
        def embed_image_tokens(self, image_tokens: torch.Tensor) -> torch.Tensor:
            own = super().embed_image_tokens(image_tokens)
            return torch.cat([-own, own], dim=1)

    trip = RoundTrip(TwoEmbeddings(), NumberTokens())
    assert trip.ranks(names(0), ["to 3"], names(3), [names(4, 60)]) == [RoundTripRank(1, 2)]


def test_each_image_is_embedded_once_until_it_is_evicted() -> None:
    retriever = NumberRetriever()
    trip = RoundTrip(retriever, NumberTokens(), cached_images=3)
    trip.ranks(names(0), ["to 1"], names(1), [names(2, 3)])
    trip.ranks(names(0), ["to 1"], names(1), [names(2)])
    assert set(retriever.embedded) == {1, 2, 3} and len(retriever.embedded) == 32
    trip.ranks(names(0), ["to 1"], names(1), [names(4, 5, 6)])
    retriever.embedded.clear()
    trip.ranks(names(0), ["to 4"], names(4), [names(5, 6)])
    assert retriever.embedded == []
    trip.ranks(names(0), ["to 2"], names(2), [names(3)])
    assert set(retriever.embedded) == {2, 3}


def test_every_batch_has_the_same_shape() -> None:
    shapes = []

    class Watched(NumberRetriever):
        def embed_image_tokens(self, image_tokens: torch.Tensor) -> torch.Tensor:
            shapes.append(image_tokens.shape)
            return super().embed_image_tokens(image_tokens)

    RoundTrip(Watched(), NumberTokens()).ranks(names(0), ["to 1"], names(1), [names(*range(2, 50))])
    assert shapes == [(32, 2, 3), (32, 2, 3)]


@pytest.mark.parametrize("texts", [[], ["a"]])
def test_no_pairs_and_unequal_numbers(texts: list[str]) -> None:
    trip = RoundTrip(NumberRetriever(), NumberTokens())
    if not texts:
        assert trip.ranks([], [], [], []) == []
    else:
        with pytest.raises(ValueError):
            trip.ranks(names(0), texts, names(1, 2), [[]])
