from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from helpers.errors import raises
from likebut.errors import InputError
from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig
from likebut.models.sequence_layout import Dense
from likebut.models.tokenizers import TextBatch

QUERIES, WIDTH, IMAGE_WIDTH = 3, 16, 10
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def encoder() -> QueryEncoder:
    torch.manual_seed(0)
    config = QueryEncoderConfig(
        hidden_size=WIDTH,
        layers=4,
        heads=4,
        intermediate_size=24,
        query_tokens=QUERIES,
        image_width=IMAGE_WIDTH,
        vocabulary_size=50,
        max_positions=20,
    )
    encoder = QueryEncoder(config).eval()
    for value in encoder.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return encoder


def text_of(*lengths: int, padded_to: int | None = None) -> TextBatch:
    generator = torch.Generator().manual_seed(7)
    longest = max(lengths)
    ids = torch.randint(4, 50, (len(lengths), longest), generator=generator)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    extra = (padded_to or longest) - longest
    # Padding ids are arbitrary on purpose: only the mask may tell what is real.
    return TextBatch(torch.nn.functional.pad(ids, (0, extra), value=9), torch.nn.functional.pad(mask, (0, extra)))


def image(batch: int, seed: int = 1) -> Tensor:
    return torch.randn(batch, 5, IMAGE_WIDTH, generator=torch.Generator().manual_seed(seed))


def real(states: Tensor, text: TextBatch, leading: int) -> Tensor:
    keep = torch.cat([torch.ones(len(text), leading), text.mask], dim=1).bool()
    return states[:, : keep.shape[1]][keep]


@torch.no_grad()
@pytest.mark.parametrize("mode", ["fuse", "compose", "encode_text"])
def test_more_padding_changes_nothing_at_real_positions(encoder: QueryEncoder, mode: str) -> None:
    def run(text: TextBatch) -> Tensor:
        if mode == "fuse":
            return real(encoder.fuse(image(2), text), text, QUERIES)
        if mode == "compose":
            return real(encoder.compose(encoder.encode_image(image(2)), text), text, QUERIES)
        prompts = encoder.query_tokens[:2]
        states = encoder.encode_text(text, prompts)
        return real(states, text, 2)

    torch.testing.assert_close(run(text_of(6, 3)), run(text_of(6, 3, padded_to=11)), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("mode", ["encode_image", "fuse", "compose", "encode_text"])
def test_a_row_does_not_depend_on_the_rest_of_the_batch(encoder: QueryEncoder, mode: str) -> None:
    text, pixels = text_of(6, 4, 5), image(3)

    def run(rows: slice) -> Tensor:
        some = TextBatch(text.ids[rows], text.mask[rows])
        if mode == "encode_image":
            return encoder.encode_image(pixels[rows])
        if mode == "fuse":
            return encoder.fuse(pixels[rows], some)
        if mode == "compose":
            return encoder.compose(encoder.encode_image(pixels[rows]), some)
        return encoder.encode_text(some)

    together = run(slice(None))
    alone = torch.cat([run(slice(row, row + 1)) for row in range(3)])
    torch.testing.assert_close(together, alone, **CLOSE)


def test_only_every_second_layer_has_cross_attention(encoder: QueryEncoder) -> None:
    assert [layer.cross_attention is not None for layer in encoder.layers] == [True, False, True, False]
    cross = encoder.layers[0].cross_attention
    assert cross is not None
    assert cross.key.weight.shape == (WIDTH, IMAGE_WIDTH)


@torch.no_grad()
def test_text_positions_never_see_the_image_in_the_first_layer(encoder: QueryEncoder) -> None:
    states = encoder._queries_then_text(encoder._query_tokens(1), text_of(4))
    layer = encoder.layers[0]
    positions = Dense(QUERIES)
    seen = [encoder.project_image(image(1, seed)).keys_and_values[0] for seed in (1, 2)]
    outputs = [layer(states, positions, each) for each in seen]
    torch.testing.assert_close(outputs[0][:, QUERIES:], outputs[1][:, QUERIES:], **CLOSE)
    assert (outputs[0][:, :QUERIES] - outputs[1][:, :QUERIES]).abs().max() > 1e-3


@torch.no_grad()
def test_hop_two_uses_neither_cross_attention_nor_the_query_feed_forward(encoder: QueryEncoder) -> None:
    text, tokens = text_of(4, 2), torch.randn(2, QUERIES, WIDTH)
    before = encoder.compose(tokens, text)
    changed = [layer.query_feed_forward for layer in encoder.layers]
    changed += [layer.cross_attention for layer in encoder.layers if layer.cross_attention is not None]
    kept = [[value.clone() for value in part.parameters()] for part in changed]
    for part in changed:
        for value in part.parameters():
            value.add_(1.0)
    try:
        torch.testing.assert_close(encoder.compose(tokens, text), before, **CLOSE)
    finally:
        for part, values in zip(changed, kept, strict=True):
            for value, old in zip(part.parameters(), values, strict=True):
                value.copy_(old)


def first_layer_input(encoder: QueryEncoder, monkeypatch: pytest.MonkeyPatch, run: Callable[[], Tensor]) -> Tensor:
    """Return the sum of embeddings before the norm that every input passes."""
    seen: list[Tensor] = []
    normalised = encoder.embeddings.normalised

    def record(states: Tensor) -> Tensor:
        seen.append(states)
        return normalised(states)

    with monkeypatch.context() as patch:
        patch.setattr(encoder.embeddings, "normalised", record)
        run()
    return seen[0]


@torch.no_grad()
def test_positions_are_added_to_the_text_alone(encoder: QueryEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    text, tokens = text_of(4), torch.randn(1, QUERIES, WIDTH)
    words = encoder.embeddings.word.weight[text.ids] + encoder.embeddings.position.weight[:4]
    fused = first_layer_input(encoder, monkeypatch, lambda: encoder.fuse(image(1), text))
    torch.testing.assert_close(fused, torch.cat([encoder.query_tokens[None], words], dim=1), **CLOSE)
    composed = first_layer_input(encoder, monkeypatch, lambda: encoder.compose(tokens, text))
    torch.testing.assert_close(composed, torch.cat([tokens, words], dim=1), **CLOSE)


@torch.no_grad()
def test_prompts_stand_between_cls_and_the_rest(encoder: QueryEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    text, prompts = text_of(4), torch.randn(2, WIDTH)
    seen = first_layer_input(encoder, monkeypatch, lambda: encoder.encode_text(text, prompts))
    words = encoder.embeddings.word.weight[text.ids[0]]
    expected = torch.cat([words[:1], prompts, words[1:]]) + encoder.embeddings.position.weight[:6]
    torch.testing.assert_close(seen[0], expected, **CLOSE)
    assert encoder.encode_text(text, prompts).shape == (1, 6, WIDTH)


@torch.no_grad()
def test_query_tokens_pass_the_embedding_norm_in_every_mode(encoder: QueryEncoder) -> None:
    tokens, text = torch.randn(1, QUERIES, WIDTH), text_of(3)
    # A layer norm is blind to a shift and a scale of its input, so the second hop must be too.
    torch.testing.assert_close(encoder.compose(tokens, text), encoder.compose(3 * tokens + 1, text), **CLOSE)


def test_heads_must_divide_the_width() -> None:
    with raises(InputError, None, 10, 3):
        QueryEncoderConfig(10, 1, 3, 8, 2, 4, 9)
