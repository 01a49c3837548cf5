import functools
from collections.abc import Callable

import pytest
import torch

from likebut.generator.consensus import agreed_text
from likebut.generator.decoding import Decoding, _generate, generate_ids, write_texts
from likebut.generator.stepwise import ArithmeticSampling, write_stepwise
from likebut.models.language import LanguageModel
from likebut.models.loading import load_language_model
from likebut.models.preset import load_preset

ROWS = 24


@pytest.fixture(scope="module")
def language() -> LanguageModel:
    language = load_language_model(load_preset("tiny"))
    with torch.no_grad():
        # Random weights hardly ever end a text; near the mean of all words the end becomes likely now and then.
        head = language.model.get_output_embeddings()
        head.weight[language.end_id] *= 2.0
    return language


def prefix_of(language: LanguageModel) -> torch.Tensor:
    return torch.randn(ROWS, 5, language.width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("least", "most"), [(0, 20), (1, 20), (4, 12), (1, 1)])
def test_it_writes_what_generate_writes(language: LanguageModel, least: int, most: int) -> None:
    decoding = Decoding(method="greedy", repetition_penalty=1.0, min_new_tokens=least, max_new_tokens=most)
    expected = _generate(language, prefix_of(language), decoding)
    found = generate_ids(language, prefix_of(language), decoding)
    assert torch.equal(found, expected)
    if most == 20:
        # A test in which all or none end early would show little.
        assert 0 < int((expected == language.end_id).any(dim=1).sum()) < ROWS


def test_a_text_that_has_ended_leaves_the_batch(language: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward: Callable[..., object] = language.model.base_model.forward

    @functools.wraps(forward)
    def counted(*arguments: object, **named: torch.Tensor) -> object:
        sizes.append(len(named["inputs_embeds"]))
        return forward(*arguments, **named)

    monkeypatch.setattr(language.model.base_model, "forward", counted)
    decoding = Decoding(method="greedy", repetition_penalty=1.0, max_new_tokens=20)
    written = generate_ids(language, prefix_of(language), decoding)
    ended = (written == language.end_id).int().cumsum(dim=1) > 0
    expected = [ROWS] + [int((~ended[:, place]).sum()) for place in range(written.shape[1] - 1)]
    assert sizes == expected


def test_evenly_spread_texts_depend_on_their_own_prefix_alone(language: LanguageModel) -> None:
    prefix = prefix_of(language)[:4]
    together = spread(language, prefix, copies=8, most=6)
    alone = torch.cat([spread(language, row, copies=8, most=6) for row in prefix.split(1)])
    assert torch.equal(together, alone)


def test_evenly_spread_texts_follow_the_language_models_own_probabilities(language: LanguageModel) -> None:
    copies, prefix = 400, prefix_of(language)[:1]
    first = spread(language, prefix, copies, most=1)[:, 0]
    states = language.model.base_model(inputs_embeds=prefix).last_hidden_state[:, -1]
    expected = language.model.get_output_embeddings()(states)[0].softmax(dim=-1)
    found = first.bincount(minlength=len(expected)) / copies
    # Of evenly spaced numbers in an interval of any length, the count is off by less than one.
    assert (found - expected).abs().max() < 1 / copies + 1e-6


def test_second_tokens_follow_the_probabilities_after_the_first(language: LanguageModel) -> None:
    copies, prefix = 2000, prefix_of(language)[:1]
    written = spread(language, prefix, copies, most=2)
    likeliest = int(written[:, 0].mode().values)
    if likeliest == language.end_id:
        likeliest = int(written[written[:, 0] != language.end_id, 0].mode().values)
    after = written[written[:, 0] == likeliest, 1]
    embedded = torch.cat([prefix, language.model.get_input_embeddings()(torch.tensor([[likeliest]]))], dim=1)
    states = language.model.base_model(inputs_embeds=embedded).last_hidden_state[:, -1]
    expected = language.model.get_output_embeddings()(states)[0].softmax(dim=-1)
    found = after.bincount(minlength=len(expected)) / len(after)
    assert (found - expected).abs().max() < 2 / len(after) + 1e-6


def test_consensus_writes_one_text_for_each_prefix(language: LanguageModel) -> None:
    decoding = Decoding(method="consensus", texts=4, max_new_tokens=6)
    prefix = prefix_of(language)[:5]
    together = write_texts(language, prefix, decoding)
    drawn = [" ".join(language.decode(row).split()) for row in spread(language, prefix, copies=4, most=6).tolist()]
    assert together == [agreed_text(drawn[4 * at : 4 * at + 4], decoding.share) for at in range(5)]
    assert together == [text for row in prefix for text in write_texts(language, row[None], decoding)]


def spread(language: LanguageModel, prefix: torch.Tensor, copies: int, most: int) -> torch.Tensor:
    choose = ArithmeticSampling(len(prefix), copies, prefix.device)
    written = write_stepwise(language, prefix, choose, most, copies)
    return torch.nn.functional.pad(written, (0, most - written.shape[1]), value=language.pad_id)
