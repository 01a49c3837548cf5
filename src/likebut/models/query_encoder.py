"""The query encoder (Q-Former): a BERT-shaped transformer over query tokens, image tokens and text.

Self-attention is joint over [query tokens ; text tokens]. In every ``cross_attention_every``-th layer the query
positions also cross-attend to image tokens. Query and text positions have separate feed-forward blocks.
After Li et al., "BLIP-2" (ICML 2023), section 3, with the second hop of Bai et al., "SPRC" (ICLR 2024).

Shapes: B batch, T image tokens, N query tokens, P prompt tokens, L text tokens, H width, W image-token width.

Every mode except ``encode_image`` takes ``read``, the number of leading positions (none of them padding) that the
caller reads. Other positions are then computed only as far as these depend on them, and padding is not computed at all.
Without ``read`` all positions are returned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.errors import InputError
from likebut.models.attention import Attention, Dropout
from likebut.models.sequence_layout import Dense, Positions, best_layout, dense_layout
from likebut.models.tokenizers import TextBatch


@dataclass(frozen=True, slots=True)
class QueryEncoderConfig:
    """Sizes of a query encoder.

    Attributes:
        hidden_size: H.
        intermediate_size: Width inside the feed-forward blocks.
        query_tokens: N.
        image_width: W.
        cross_attention_every: k; layers 0, k, 2k, … cross-attend to image tokens.
        image_norm_eps: ε of the LayerNorm of image tokens; LAVIS uses 1e-5, transformers' BLIP-2 1e-6.
        dropout: Probability after every sub-layer and on attention weights.
    """

    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    query_tokens: int
    image_width: int
    vocabulary_size: int
    max_positions: int = 512
    cross_attention_every: int = 2
    layer_norm_eps: float = 1e-12
    image_norm_eps: float = 1e-5
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Check that the width is divisible by the number of heads."""
        if self.hidden_size % self.heads:
            raise InputError(
                f"hidden_size ({self.hidden_size}) must be divisible by heads ({self.heads}).", "Change one of them."
            )


@dataclass(frozen=True, slots=True)
class ImageKeyValues:
    """Cross-attention keys and values of images, computed once by :meth:`QueryEncoder.project_image`.

    Attributes:
        keys_and_values: For each layer two tensors (B, T, H), or None where the layer has no cross-attention.
    """

    keys_and_values: tuple[tuple[Tensor, Tensor] | None, ...]

    def __len__(self) -> int:
        """Return B."""
        return next(len(pair[0]) for pair in self.keys_and_values if pair is not None)


class FeedForward(nn.Module):
    """The feed-forward block of a transformer layer, with exact GELU."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Map (…, H) to (…, H), before residual and norm."""
        out: Tensor = self.down(functional.gelu(self.up(states)))
        return out


class QueryEncoderLayer(nn.Module):
    """One layer; post-norm, as in BERT."""

    def __init__(self, config: QueryEncoderConfig, cross_attends: bool) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.dropout = Dropout(config.dropout)
        self.attention = Attention(width, config.heads, width, config.dropout)
        self.attention_norm = nn.LayerNorm(width, eps)
        self.cross_attention = (
            Attention(width, config.heads, config.image_width, config.dropout) if cross_attends else None
        )
        self.cross_norm = nn.LayerNorm(width, eps) if cross_attends else None
        self.query_feed_forward = FeedForward(config)
        self.query_norm = nn.LayerNorm(width, eps)
        self.text_feed_forward = FeedForward(config)
        self.text_norm = nn.LayerNorm(width, eps)

    def forward(
        self, inputs: Tensor, positions: Positions, image: tuple[Tensor, Tensor] | None, read: int | None = None
    ) -> Tensor:
        """Apply the layer.

        Args:
            inputs: Width H, in the layout ``positions``.
            positions: Layout; without query positions, all positions use the text feed-forward.
            image: Keys and values (B, T, H) for the query positions, or None.
            read: Number of leading positions of each sequence to compute; None computes all.

        Returns:
            The layout of the inputs, or (B, read, H).
        """
        attending, own = inputs, positions
        if read is not None:
            attending, own = positions.sequences(inputs)[:, :read], Dense(min(positions.queries, read))
        attended = self.dropout(self.attention(attending, self.attention.keys_and_values(inputs), own, positions))
        states: Tensor = self.attention_norm(attending + attended)
        if own.queries == 0:
            return self._text_block(states)
        query_states = self._query_block(own.query_part(states), image)
        text_states = own.text_part(states)
        return own.joined(query_states, self._text_block(text_states)) if text_states.numel() else query_states

    def _query_block(self, states: Tensor, image: tuple[Tensor, Tensor] | None) -> Tensor:
        if self.cross_attention is not None and self.cross_norm is not None and image is not None:
            attended = self.dropout(self.cross_attention(states, image, Dense(), Dense()))
            states = self.cross_norm(states + attended)
        out: Tensor = self.query_norm(states + self.dropout(self.query_feed_forward(states)))
        return out

    def _text_block(self, states: Tensor) -> Tensor:
        out: Tensor = self.text_norm(states + self.dropout(self.text_feed_forward(states)))
        return out


class Embeddings(nn.Module):
    """Word and position embeddings, and the LayerNorm of all inputs of the first layer."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocabulary_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def words(self, ids: Tensor) -> Tensor:
        """Return word embeddings (B, L, H), without positions."""
        embedded: Tensor = self.word(ids)
        return embedded

    def with_positions(self, states: Tensor) -> Tensor:
        """Add the position embeddings 0…S-1 to ``states`` (B, S, H)."""
        return states + self.position.weight[: states.shape[1]]

    def normalised(self, states: Tensor) -> Tensor:
        """Return ``states`` (B, S, H) after LayerNorm and dropout, as the first layer reads them."""
        normalised: Tensor = self.dropout(self.norm(states))
        return normalised


class QueryEncoder(nn.Module):
    """The query encoder: four modes over one set of weights (docs/method.md, "Query encoder")."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.image_norm = nn.LayerNorm(config.image_width, config.image_norm_eps)
        self.query_tokens = nn.Parameter(torch.zeros(config.query_tokens, config.hidden_size))
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(
            QueryEncoderLayer(config, cross_attends=index % config.cross_attention_every == 0)
            for index in range(config.layers)
        )

    def project_image(self, images: Tensor | ImageKeyValues) -> ImageKeyValues:
        """Return the keys and values of image tokens (B, T, W) for :meth:`encode_image` and :meth:`fuse`."""
        if isinstance(images, ImageKeyValues):
            return images
        norm = self.image_norm
        normalised = functional.layer_norm(images, norm.normalized_shape, eps=norm.eps)
        keys_and_values = []
        for layer in self.layers:
            assert isinstance(layer, QueryEncoderLayer)
            cross = layer.cross_attention
            keys_and_values.append(None if cross is None else cross.keys_and_values(normalised, norm))
        return ImageKeyValues(tuple(keys_and_values))

    def encode_image(self, images: Tensor | ImageKeyValues) -> Tensor:
        """Encode images with the query tokens.

        Args:
            images: Image tokens (B, T, W), or the result of :meth:`project_image`.

        Returns:
            (B, N, H).
        """
        queries = self.embeddings.normalised(self._query_tokens(len(images)))
        return self._run(queries, Dense(self.config.query_tokens), self.project_image(images), None)

    def fuse(self, images: Tensor | ImageKeyValues, text: TextBatch, read: int | None = None) -> Tensor:
        """Hop one: encode images and texts jointly.

        Args:
            images: Image tokens (B, T, W), or the result of :meth:`project_image`.
            text: (B, L).
            read: Number of leading positions to return; None returns all.

        Returns:
            (B, N+L, H), or (B, read, H); the first N positions are the fused query tokens.
        """
        queries = self._query_tokens(len(images))
        states = self._queries_then_text(queries, text)
        positions = _layout(read, self.config.query_tokens, text, extra=self.config.query_tokens)
        return self._run(states, positions, self.project_image(images), read)

    def compose(self, tokens: Tensor, text: TextBatch, read: int | None = None) -> Tensor:
        """Hop two: ``tokens`` take the place of the query tokens, without an image.

        There is no cross-attention and all positions use the text feed-forward, as in the released code of SPRC.

        Args:
            tokens: (B, N, H), the output of hop one at the query positions.
            text: (B, L).
            read: Number of leading positions to return; None returns all.

        Returns:
            (B, N+L, H), or (B, read, H); position N is the text's [CLS].
        """
        states = self._queries_then_text(tokens, text)
        return self._run(states, _layout(read, 0, text, extra=tokens.shape[1]), None, read)

    def encode_text(self, text: TextBatch, prompts: Tensor | None = None, read: int | None = None) -> Tensor:
        """Encode texts alone.

        Args:
            text: (B, L), each starting with [CLS].
            prompts: (P, H) learned tokens inserted after [CLS]; position embeddings count the whole sequence.
            read: Number of leading positions to return; None returns all.

        Returns:
            (B, P+L, H), or (B, read, H); position 0 represents the text.
        """
        words = self.embeddings.words(text.ids)
        extra = 0
        if prompts is not None:
            inserted = prompts.to(words.dtype).expand(len(text), -1, -1)
            words = torch.cat([words[:, :1], inserted, words[:, 1:]], dim=1)
            extra = prompts.shape[0]
        states = self.embeddings.normalised(self.embeddings.with_positions(words))
        # The mask starts with [CLS], which is always real, so inserting `extra` ones before or after it is the same.
        return self._run(states, _layout(read, 0, text, extra), None, read)

    def _query_tokens(self, batch: int) -> Tensor:
        return self.query_tokens.expand(batch, -1, -1)

    def _queries_then_text(self, queries: Tensor, text: TextBatch) -> Tensor:
        words = self.embeddings.with_positions(self.embeddings.words(text.ids))
        return self.embeddings.normalised(torch.cat([queries.to(words.dtype), words], dim=1))

    def _run(self, states: Tensor, positions: Positions, images: ImageKeyValues | None, read: int | None) -> Tensor:
        states = positions.from_sequences(states)
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            image = None if images is None else images.keys_and_values[index]
            states = layer(states, positions, image, read if index == last else None)
        return states


def _layout(read: int | None, queries: int, text: TextBatch, extra: int) -> Positions:
    # Without `read`, padding positions are returned as well, as the published implementation computes them.
    layout = dense_layout if read is None else best_layout
    return layout(queries, text.mask, extra)
