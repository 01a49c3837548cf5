import pytest
import torch

from likebut.errors import InputError
from likebut.generator.decoding import Decoding, write_texts
from likebut.models.loading import load_language_model
from likebut.models.preset import load_preset


def test_published_decoding_is_the_default() -> None:
    arguments = Decoding().generate_arguments()
    assert (arguments["num_beams"], arguments["repetition_penalty"], arguments["do_sample"]) == (5, 1.5, False)
    other = Decoding(beams=3, repetition_penalty=1.1, length_penalty=-2.0).generate_arguments()
    assert (other["num_beams"], other["repetition_penalty"], other["length_penalty"]) == (3, 1.1, -2.0)


@pytest.mark.parametrize("method", ["greedy", "nucleus"])
def test_only_beam_search_has_several_beams(method: str) -> None:
    arguments = Decoding(method=method, top_p=0.7, temperature=0.5).generate_arguments()
    assert (arguments["num_beams"], arguments["do_sample"]) == (1, method == "nucleus")
    assert ("top_p" in arguments) is (method == "nucleus") and arguments.get("top_p", 0.7) == 0.7


def test_lengths_are_ordered() -> None:
    short, medium, long = (Decoding().with_length(length) for length in ("short", "medium", "long"))
    for name in ("min_new_tokens", "max_new_tokens", "length_penalty"):
        assert getattr(short, name) < getattr(medium, name) < getattr(long, name)


def test_consensus_lengths_are_minimum_frequencies() -> None:
    consensus = Decoding(method="consensus")
    shares = [consensus.with_length(length).share for length in ("short", "medium", "long")]
    assert shares == sorted(shares, reverse=True)
    assert consensus.with_length("medium") == consensus
    assert (Decoding(texts=16, share=0.15).min_votes, Decoding(texts=16, share=0.25).min_votes) == (3, 4)


def test_an_unknown_length_is_an_input_error() -> None:
    with pytest.raises(InputError) as error:
        Decoding().with_length("tiny")
    assert error.value.code == "unknown-length" and "tiny" in error.value.problem


def test_nucleus_depends_on_the_seed() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(4, 5, language.width, generator=torch.Generator().manual_seed(0))
    drawn = [
        write_texts(language, prefix, Decoding(method="nucleus", seed=seed, max_new_tokens=8)) for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
