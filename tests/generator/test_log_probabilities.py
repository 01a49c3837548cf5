import pytest
import torch

from likebut.generator.losses import (
    _padded_losses,
    _token_losses,
    language_loss,
    log_probabilities,
    with_end_token,
)
from likebut.models.loading import load_language_model
from likebut.models.preset import load_preset


def test_each_text_is_scored_as_if_it_were_alone() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(3, 5, language.width, generator=torch.Generator().manual_seed(0))
    texts = ["in red", "", "with long sleeves"]
    found = log_probabilities(language.model, prefix, with_end_token(language, texts))
    embed = language.model.get_input_embeddings()
    for row, text in enumerate(texts):
        ids = [*language.encode([text])[0], language.end_id]
        logged = []
        for place, token in enumerate(ids):
            before = embed(torch.tensor(ids[:place], dtype=torch.int64))
            logits = language.model(inputs_embeds=torch.cat([prefix[row], before])[None]).logits[0, -1]
            logged.append(float(logits.log_softmax(dim=0)[token]))
        assert float(found[row]) == pytest.approx(sum(logged) / len(logged), abs=1e-4)


def test_the_loss_is_the_mean_over_all_tokens() -> None:
    language = load_language_model(load_preset("tiny"))
    prefix = torch.randn(2, 5, language.width, generator=torch.Generator().manual_seed(0))
    written = with_end_token(language, ["in red", "with long sleeves"])
    weights = written.mask.sum(dim=1)
    mean = (log_probabilities(language.model, prefix, written) * weights).sum() / weights.sum()
    assert float(language_loss(language.model, prefix, written)) == pytest.approx(-float(mean), abs=1e-5)


def test_dropping_padding_changes_neither_losses_nor_gradients() -> None:
    language = load_language_model(load_preset("tiny"))
    texts = ["in red", "", "with long sleeves and a collar", "a hat", "no", "much shorter, please", "blue"]
    written = with_end_token(language, texts)
    outcomes = []
    for losses_of in (_padded_losses, _token_losses):
        prefix = torch.randn(7, 5, language.width, generator=torch.Generator().manual_seed(0)).requires_grad_()
        losses = losses_of(language.model, prefix, written)
        (losses * torch.arange(1.0, 1.0 + losses.numel()).view_as(losses)).sum().backward()
        outcomes.append((losses.detach(), prefix.grad))
    assert (outcomes[0][0] == 0).sum() == (written.mask == 0).sum()
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=1e-4, atol=1e-5)
