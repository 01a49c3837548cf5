"""Reading some positions with padding dropped gives what reading all of them gives, gradients included."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from likebut.models.query_encoder import QueryEncoder, QueryEncoderConfig
from likebut.models.sequence_layout import Dense, Packed, Positions, best_layout, dense_layout
from likebut.models.tokenizers import TextBatch

QUERIES, WIDTH, IMAGE_WIDTH = 3, 16, 10
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
Mode = Callable[[QueryEncoder, TextBatch, Tensor, int | None], Tensor]


def new_encoder() -> QueryEncoder:
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
        dropout=0.0,
    )
    encoder = QueryEncoder(config)
    for value in encoder.parameters():
        torch.nn.init.normal_(value, std=0.3)
    return encoder


ENCODER = new_encoder()
MODES: dict[str, Mode] = {
    "fuse": lambda encoder, text, images, read: encoder.fuse(images, text, read),
    "compose": lambda encoder, text, images, read: encoder.compose(encoder.encode_image(images), text, read),
    "encode_text": lambda encoder, text, images, read: encoder.encode_text(text, encoder.query_tokens[:2], read),
    "encode_text without prompts": lambda encoder, text, images, read: encoder.encode_text(text, None, read),
}


def text_of(lengths: list[int]) -> TextBatch:
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(4, 50, (len(lengths), max(lengths)), generator=generator)
    return TextBatch(ids, (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long())


def outcome(mode: Mode, text: TextBatch, images: Tensor, slice_to: int | None, read: int | None) -> list[Tensor]:
    """Return the states and then every gradient of a loss that weighs each of them differently."""
    ENCODER.zero_grad()
    images = images.clone().requires_grad_()
    states = mode(ENCODER, text, images, read)[:, :slice_to]
    (states * torch.arange(1.0, 1.0 + states.numel()).view_as(states).sin()).sum().backward()
    gradients = [value.grad if value.grad is not None else torch.zeros_like(value) for value in ENCODER.parameters()]
    return [
        states.detach(),
        *(each.clone() for each in gradients),
        torch.zeros(1) if images.grad is None else images.grad,
    ]


@pytest.mark.parametrize("name", MODES)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    read=st.integers(1, QUERIES + 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=15, deadline=None)
def test_reading_some_positions_gives_what_reading_all_gives(
    name: str, lengths: list[int], read: int, seed: int
) -> None:
    text = text_of(lengths)
    images = torch.randn(len(lengths), 5, IMAGE_WIDTH, generator=torch.Generator().manual_seed(seed))
    read = min(read, min(lengths)) if name.startswith("encode") else read
    whole = outcome(MODES[name], text, images, read, None)
    part = outcome(MODES[name], text, images, None, read)
    for expected, found in zip(whole, part, strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "extra", "read", "last"),
    [("fuse", 0, QUERIES, 0), ("compose", 3 * 3, QUERIES + 1, 3 * 4), ("encode_text", 3 * 2, 1, 3)],
)
def test_padding_and_unread_positions_are_not_computed(
    name: str, extra: int, read: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    for layer in ENCODER.layers:
        real = layer.text_feed_forward.forward

        def counted(states: Tensor, real: Callable[[Tensor], Tensor] = real) -> Tensor:
            rows.append(states[..., 0].numel())
            return real(states)

        monkeypatch.setattr(layer.text_feed_forward, "forward", counted)
    text = text_of([7, 2, 4])
    MODES[name](ENCODER, text, torch.randn(3, 5, IMAGE_WIDTH), read)
    expected = [13 + extra] * 3 + ([last] if last else [])
    assert rows == expected


@torch.no_grad()
def test_a_mask_of_ones_drops_nothing() -> None:
    text = text_of([7, 2, 4])
    everything = TextBatch(text.ids, torch.ones_like(text.mask))
    tokens = torch.randn(3, QUERIES, WIDTH, generator=torch.Generator().manual_seed(0))
    found = ENCODER.compose(tokens, everything, read=QUERIES + 1)
    torch.testing.assert_close(found, ENCODER.compose(tokens, everything)[:, : QUERIES + 1], **CLOSE)
    assert (found - ENCODER.compose(tokens, text, read=QUERIES + 1)).abs().max() > 1e-4


@pytest.mark.parametrize("queries", [0, 2])
def test_a_packed_layout_round_trips(queries: int) -> None:
    mask = text_of([3, 1, 2]).mask
    packed = best_layout(queries, mask, extra=2)
    assert isinstance(packed, Packed) and isinstance(best_layout(queries, torch.ones(2, 3), extra=2), Dense)
    dense = dense_layout(queries, mask, extra=2)
    assert packed.mask is not None and dense.mask is not None and torch.equal(packed.mask, dense.mask)
    states = torch.randn(3, 5, 4)
    there = packed.from_sequences(states)
    assert there.shape == (3 * 2 + 6, 4)
    padding = ~packed.mask[:, 0, 0]
    assert torch.equal(packed.sequences(there), states.masked_fill(padding[..., None], 0.0))
    for layout in (packed, dense):
        _parts_join_again(layout, layout.from_sequences(states))
    assert torch.equal(packed.query_part(there), states[:, :queries])


def _parts_join_again(layout: Positions, states: Tensor) -> None:
    assert torch.equal(layout.joined(layout.query_part(states), layout.text_part(states)), states)
