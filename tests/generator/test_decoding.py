"""Decoding's settings, as the language model is told them."""

import pytest
import torch

from likebut.generator.decoding import Decoding, write_texts
from likebut.models.loading import load_language_model
from likebut.models.preset import load_preset


def test_the_papers_way_is_five_beams_and_a_repetition_penalty() -> None:
    told = Decoding().generate_arguments()
    assert (told["num_beams"], told["repetition_penalty"], told["do_sample"]) == (5, 1.5, False)
    other = Decoding(beams=3, repetition_penalty=1.1, length_penalty=-2.0).generate_arguments()
    assert (other["num_beams"], other["repetition_penalty"], other["length_penalty"]) == (3, 1.1, -2.0)


@pytest.mark.parametrize("method", ["greedy", "nucleus"])
def test_one_beam_unless_beams_are_asked_for(method: str) -> None:
    told = Decoding(method=method, top_p=0.7, temperature=0.5).generate_arguments()
    assert (told["num_beams"], told["do_sample"]) == (1, method == "nucleus")
    assert ("top_p" in told) is (method == "nucleus") and told.get("top_p", 0.7) == 0.7


def test_each_length_is_longer_than_the_one_before() -> None:
    short, medium, long = (Decoding().with_length(length) for length in ("short", "medium", "long"))
    for name in ("min_new_tokens", "max_new_tokens", "length_penalty"):
        assert getattr(short, name) < getattr(medium, name) < getattr(long, name)


def test_nucleus_draws_by_its_seed() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(4, 5, language.width, generator=torch.Generator().manual_seed(0))
    drawn = [
        write_texts(language, prefix, Decoding(method="nucleus", seed=seed, max_new_tokens=8)) for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
