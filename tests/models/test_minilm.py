import pytest
import torch
from transformers import BertConfig, BertModel

from helpers.errors import raises
from helpers.published import BERT_WORDS, bert_weights
from likebut.errors import InputError
from likebut.models.minilm import rename_minilm, start_from_minilm
from likebut.models.preset import load_preset
from likebut.models.query_encoder import QueryEncoder
from likebut.models.tokenizers import TextBatch


def query_encoder(**sizes: int) -> QueryEncoder:
    part = load_preset("tiny").query_encoder.model_copy(update={"vocabulary_size": len(BERT_WORDS), **sizes})
    torch.manual_seed(0)
    return QueryEncoder(part.config()).eval()


@torch.no_grad()
def test_text_alone_is_read_as_by_the_bert_it_comes_from() -> None:
    config = BertConfig(
        vocab_size=len(BERT_WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    bert = BertModel(config).eval()
    outcome = bert.load_state_dict(bert_weights(), strict=False)
    assert not outcome.unexpected_keys and not outcome.missing_keys
    ours = query_encoder()
    start_from_minilm(ours, rename_minilm(bert_weights()))
    text = TextBatch(torch.tensor([[2, 4, 5, 6, 3], [2, 9, 3, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]))
    expected = bert(input_ids=text.ids, attention_mask=text.mask).last_hidden_state
    found = ours.encode_text(text)
    real = text.mask.bool()
    torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=1e-5)


def test_query_feed_forward_starts_as_a_copy_of_the_text_and_stays_apart() -> None:
    encoder = query_encoder()
    start_from_minilm(encoder, rename_minilm(bert_weights()))
    for layer in encoder.layers:
        assert torch.equal(layer.query_feed_forward.up.weight, layer.text_feed_forward.up.weight)
        assert torch.equal(layer.query_norm.bias, layer.text_norm.bias)
        layer.query_feed_forward.up.weight.data.zero_()
        assert layer.text_feed_forward.up.weight.abs().sum() > 0


def test_new_parameters_are_small_random_and_seeded() -> None:
    fresh = []
    for seed in (1, 1, 2):
        encoder = query_encoder()
        torch.manual_seed(seed)
        start_from_minilm(encoder, rename_minilm(bert_weights()))
        cross = encoder.layers[0].cross_attention
        assert torch.count_nonzero(cross.key.bias) == 0
        assert 0.015 < cross.key.weight.std() < 0.025
        fresh.append(torch.cat([encoder.query_tokens.flatten(), cross.key.weight.flatten()]))
    assert torch.equal(fresh[0], fresh[1]) and not torch.equal(fresh[0], fresh[2])
    assert len(encoder.query_tokens.unique(dim=0)) == encoder.config.query_tokens


@pytest.mark.parametrize("sizes", [{"layers": 3}, {"layers": 1}, {"intermediate_size": 32}, {"vocabulary_size": 9}])
def test_other_sizes_are_refused(sizes: dict[str, int]) -> None:
    with raises(InputError, "parameter-mismatch"):
        start_from_minilm(query_encoder(**sizes), rename_minilm(bert_weights()))
