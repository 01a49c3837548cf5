"""LAVIS names and sizes, for query encoders of many shapes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.errors import raises
from likebut.errors import InputError
from likebut.models.checkpoint_file import Checkpoint
from likebut.models.lavis import IGNORED, query_encoder_sizes, split_checkpoint
from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig

BLOCKS = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "text_feed_forward.up": "intermediate.dense",
    "text_feed_forward.down": "output.dense",
    "text_norm": "output.LayerNorm",
    "query_feed_forward.up": "intermediate_query.dense",
    "query_feed_forward.down": "output_query.dense",
    "query_norm": "output_query.LayerNorm",
}
CROSS = {
    "cross_attention.query": "crossattention.self.query",
    "cross_attention.key": "crossattention.self.key",
    "cross_attention.value": "crossattention.self.value",
    "cross_attention.output": "crossattention.output.dense",
    "cross_norm": "crossattention.output.LayerNorm",
}


def published(encoder: QueryEncoder) -> dict[str, Tensor]:
    """The names that LAVIS gives the tensors of ``encoder``, built from its module tree rather than by renaming."""
    bert = "Qformer.bert.embeddings"
    named = {
        f"{bert}.word_embeddings.weight": encoder.embeddings.word.weight,
        f"{bert}.position_embeddings.weight": encoder.embeddings.position.weight,
        f"{bert}.LayerNorm.weight": encoder.embeddings.norm.weight,
        f"{bert}.LayerNorm.bias": encoder.embeddings.norm.bias,
        "ln_vision.weight": encoder.image_norm.weight,
        "ln_vision.bias": encoder.image_norm.bias,
        "query_tokens": encoder.query_tokens[None],
    }
    for index, layer in enumerate(encoder.layers):
        parts = BLOCKS | (CROSS if index % encoder.config.cross_attention_every == 0 else {})
        for ours, theirs in parts.items():
            for kind in ("weight", "bias"):
                value = layer.get_parameter(f"{ours}.{kind}")
                named[f"Qformer.bert.encoder.layer.{index}.{theirs}.{kind}"] = value
    return {name: value.detach() for name, value in named.items()}


def encoder_of(layers: int, every: int, width: int = 128, heads: int = 2) -> QueryEncoder:
    torch.manual_seed(layers)
    config = QueryEncoderConfig(width, layers, heads, 24, 3, 10, 40, 16, cross_attention_every=every)
    return QueryEncoder(config).eval()


@pytest.mark.parametrize(("layers", "every"), [(1, 1), (2, 2), (3, 1), (4, 2), (5, 3), (7, 3)])
def test_sizes_and_every_tensor_come_back(layers: int, every: int) -> None:
    encoder = encoder_of(layers, every)
    checkpoint = Checkpoint(Path("c.pth"), published(encoder))
    sizes = query_encoder_sizes(checkpoint)
    assert sizes == encoder.config
    parts = split_checkpoint(checkpoint, sizes, "", {}, ())
    again = QueryEncoder(sizes).eval()
    again.load_state_dict(parts.state)
    image = torch.randn(2, 4, 10)
    torch.testing.assert_close(again.encode_image(image), encoder.encode_image(image))


def test_given_heads_take_precedence_over_metadata_and_metadata_over_the_default() -> None:
    tensors = published(encoder_of(1, 1, width=64, heads=1))
    said = Checkpoint(Path("c"), tensors, {"num_attention_heads": 4})
    assert [query_encoder_sizes(Checkpoint(Path("c"), tensors)).heads, query_encoder_sizes(said).heads] == [1, 4]
    assert query_encoder_sizes(said, heads=8).heads == 8


def test_cross_attention_in_the_wrong_layer_is_unknown() -> None:
    tensors = published(encoder_of(4, 2))
    sizes = QueryEncoderConfig(128, 4, 2, 24, 3, 10, 40, 16, cross_attention_every=4)
    with raises(InputError, "key-mismatch", "Qformer.bert.encoder.layer.2.crossattention"):
        split_checkpoint(Checkpoint(Path("c"), tensors), sizes, "", {}, ())


def test_an_activation_that_is_not_gelu_is_refused() -> None:
    with raises(InputError, None, "relu", "gelu"):
        query_encoder_sizes(Checkpoint(Path("c"), published(encoder_of(1, 1)), {"activation": "relu"}))


def test_ignored_keys_are_counted_by_name() -> None:
    encoder = encoder_of(1, 1)
    extra = {name + "x": torch.ones(1) for name in IGNORED} | {"itm_head.weight": torch.ones(1)}
    checkpoint = Checkpoint(Path("c"), published(encoder) | extra)
    parts = split_checkpoint(checkpoint, encoder.config, "", {}, ("itm_head.",))
    assert parts.ignored == list(extra)
    with raises(InputError, "key-mismatch", "itm_head.weight"):
        split_checkpoint(checkpoint, encoder.config, "", {}, ())
