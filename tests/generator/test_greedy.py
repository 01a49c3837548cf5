import functools
from collections.abc import Callable

import pytest
import torch

from likebut.backbones.language import LanguageModel
from likebut.backbones.loading import load_language_model
from likebut.backbones.preset import load_preset
from likebut.generator.decoding import Decoding, _generate, generate_ids

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
