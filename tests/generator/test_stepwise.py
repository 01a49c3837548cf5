import functools
from collections.abc import Callable

import pytest
import torch

from likebut.generator.consensus import consensus_text
from likebut.generator.decoding import Decoding, _generate, generate_ids, write_texts
from likebut.generator.stepwise import SystematicSampling, decode_stepwise
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
def test_greedy_equals_generate(language: LanguageModel, least: int, most: int) -> None:
    decoding = Decoding(method="greedy", repetition_penalty=1.0, min_new_tokens=least, max_new_tokens=most)
    expected = _generate(language, prefix_of(language), decoding)
    found = generate_ids(language, prefix_of(language), decoding)
    assert torch.equal(found, expected)
    if most == 20:
        # A test in which all or none end early would show little.
        assert 0 < int((expected == language.end_id).any(dim=1).sum()) < ROWS


def test_finished_texts_leave_the_batch(language: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_sampled_texts_depend_on_their_own_prefix_alone(language: LanguageModel) -> None:
    prefix = prefix_of(language)[:4]
    together = sample(language, prefix, copies=8, most=6)
    alone = torch.cat([sample(language, row, copies=8, most=6) for row in prefix.split(1)])
    assert torch.equal(together, alone)


def test_first_tokens_follow_the_language_models_probabilities(language: LanguageModel) -> None:
    copies, prefix = 400, prefix_of(language)[:1]
    first = sample(language, prefix, copies, most=1)[:, 0]
    states = language.model.base_model(inputs_embeds=prefix).last_hidden_state[:, -1]
    expected = language.model.get_output_embeddings()(states)[0].softmax(dim=-1)
    found = first.bincount(minlength=len(expected)) / copies
    # Of evenly spaced numbers in an interval of any length, the count is off by less than one.
    assert (found - expected).abs().max() < 1 / copies + 1e-6


def test_second_tokens_follow_the_conditional_probabilities(language: LanguageModel) -> None:
    copies, prefix = 2000, prefix_of(language)[:1]
    written = sample(language, prefix, copies, most=2)
    likeliest = int(written[:, 0].mode().values)
    if likeliest == language.end_id:
        likeliest = int(written[written[:, 0] != language.end_id, 0].mode().values)
    after = written[written[:, 0] == likeliest, 1]
    embedded = torch.cat([prefix, language.model.get_input_embeddings()(torch.tensor([[likeliest]]))], dim=1)
    states = language.model.base_model(inputs_embeds=embedded).last_hidden_state[:, -1]
    expected = language.model.get_output_embeddings()(states)[0].softmax(dim=-1)
    found = after.bincount(minlength=len(expected)) / len(after)
    assert (found - expected).abs().max() < 2 / len(after) + 1e-6


def test_consensus_of_each_prefix(language: LanguageModel) -> None:
    decoding = Decoding(method="consensus", texts=4, max_new_tokens=6, min_p=0.0, stop_early=False)
    prefix = prefix_of(language)[:5]
    together = write_texts(language, prefix, decoding)
    drawn = [" ".join(language.decode(row).split()) for row in sample(language, prefix, copies=4, most=6).tolist()]
    assert together == [consensus_text(drawn[4 * at : 4 * at + 4], decoding.share) for at in range(5)]
    assert together == [text for row in prefix for text in write_texts(language, row[None], decoding)]


def test_texts_equal_those_computed_row_by_row(language: LanguageModel) -> None:
    """Shared beginnings change nothing: the oracle has one row for each text, without a cache."""
    copies, most = 8, 5
    prefix = prefix_of(language)[:3]
    embed, head = language.model.get_input_embeddings(), language.model.get_output_embeddings()
    choose = SystematicSampling(copies)
    expected = torch.full((3 * copies, most), language.pad_id)
    live = torch.arange(3 * copies)
    for position in range(most):
        inputs = torch.cat([prefix[live // copies], embed(expected[live, :position])], dim=1)
        logits = head(language.model.base_model(inputs_embeds=inputs).last_hidden_state[:, -1])
        beginnings = [(int(text) // copies, *expected[text, :position].tolist()) for text in live]
        nodes = torch.tensor([beginnings.index(beginning) for beginning in beginnings])
        expected[live, position] = choose(logits, nodes, live, position)
        live = live[expected[live, position] != language.end_id]
    assert torch.equal(sample(language, prefix, copies, most), expected)


def test_equal_beginnings_are_computed_once(language: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    forward: Callable[..., object] = language.model.base_model.forward

    @functools.wraps(forward)
    def counted(*arguments: object, **named: torch.Tensor) -> object:
        sizes.append(len(named["inputs_embeds"]))
        return forward(*arguments, **named)

    monkeypatch.setattr(language.model.base_model, "forward", counted)
    prefix = prefix_of(language)[:2]
    written = sample(language, prefix, copies=16, most=5).view(2, 16, -1)
    for position in range(1, 5):
        live = {
            (row, *map(int, text[:position]))
            for row in range(2)
            for text in written[row]
            if language.end_id not in text[:position].tolist()
        }
        assert sizes[position] == len(live)


def test_min_p_excludes_unlikely_tokens(language: LanguageModel) -> None:
    prefix, min_p = prefix_of(language)[:1], 0.7
    states = language.model.base_model(inputs_embeds=prefix).last_hidden_state[:, -1]
    probabilities = language.model.get_output_embeddings()(states)[0].softmax(dim=-1)
    allowed = probabilities * (probabilities >= min_p * probabilities.max())
    expected = allowed / allowed.sum()
    assert 1 < int((allowed > 0).sum()) < len(allowed) - 1
    choose = SystematicSampling(400, min_p)
    first = decode_stepwise(language, prefix, choose, 1, 400)[:, 0]
    found = first.bincount(minlength=len(expected)) / 400
    assert (found - expected).abs().max() < 1 / 400 + 1e-6


def test_no_token_of_weight_zero_is_sampled_at_the_edges() -> None:
    # Tokens of weight 0 on both sides of the only possible ones, in a block of their own and within one.
    logits = torch.full((1, 1000), float("-inf"))
    logits[0, [257, 300, 700]] = torch.tensor([0.0, -1.0, 1.0])
    choose = SystematicSampling(999)
    texts = torch.arange(999)
    for position in range(50):
        chosen = choose(logits, torch.zeros(999, dtype=torch.int64), texts, position)
        assert set(chosen.tolist()) <= {257, 300, 700}


def test_a_prefix_with_too_few_unfinished_texts_is_abandoned(language: LanguageModel) -> None:
    """Texts of scripted lengths, the end token included: token 7, and the end at the last position."""
    lengths = torch.tensor([2, 3, 5, 6, 1, 1, 1, 6])

    def scripted(logits: torch.Tensor, nodes: torch.Tensor, texts: torch.Tensor, position: int) -> torch.Tensor:
        return torch.where(lengths[texts] == position + 1, language.end_id, 7)

    for stop_below, expected in (
        (0, [2, 3, 5, 6, 1, 1, 1, 6]),
        (2, [2, 3, 5, 5, 1, 1, 1, 1]),
        (3, [2, 3, 3, 3, 1, 1, 1, 1]),
    ):
        written = decode_stepwise(language, prefix_of(language)[:2], scripted, 9, 4, stop_below)
        assert (written != language.pad_id).sum(dim=1).tolist() == expected
        ended = (written == language.end_id).any(dim=1).tolist()
        assert ended == [found == length for found, length in zip(expected, lengths.tolist(), strict=True)]


def test_grouped_attention_equals_the_models_own(language: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    before = language.model.config._attn_implementation
    grouped = sample(language, prefix_of(language), copies=4, most=6)
    assert language.model.config._attn_implementation == before
    monkeypatch.setattr(language.model, "_supports_attention_backend", False)
    assert torch.equal(grouped, sample(language, prefix_of(language), copies=4, most=6))


def sample(language: LanguageModel, prefix: torch.Tensor, copies: int, most: int) -> torch.Tensor:
    choose = SystematicSampling(copies)
    written = decode_stepwise(language, prefix, choose, most, copies)
    return torch.nn.functional.pad(written, (0, most - written.shape[1]), value=language.pad_id)
