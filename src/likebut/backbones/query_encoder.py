"""The query encoder (Q-Former): a BERT-shaped transformer that reads query tokens, image tokens and text.

Self-attention is joint over [query tokens ; text tokens]. In every ``cross_attention_every``-th layer the query
positions also cross-attend to image tokens. Query and text positions have feed-forward blocks of their own.
After Li et al., "BLIP-2" (ICML 2023), section 3, with the second hop of Bai et al., "SPRC" (ICLR 2024).

Shapes in this file: B batch, T image tokens, N query tokens, P prompt tokens, L text tokens, H width, W image width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from likebut.backbones.text import TextBatch
from likebut.errors import InputError


@dataclass(frozen=True, slots=True)
class QueryEncoderConfig:
    """Sizes of a query encoder.

    Attributes:
        hidden_size: H.
        intermediate_size: Width inside the feed-forward blocks.
        query_tokens: N.
        image_width: W, the width of the image tokens that are attended to.
        cross_attention_every: Layers 0, k, 2k, … cross-attend.
        image_norm_eps: Of the norm that image tokens pass; LAVIS has 1e-5, transformers' BLIP-2 1e-6.
        dropout: Probability, after every sub-layer and on attention weights.
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
        """Check that the heads share the width evenly."""
        if self.hidden_size % self.heads:
            raise InputError(
                f"hidden_size ({self.hidden_size}) must be divisible by heads ({self.heads}).", "Change one of them."
            )


class Attention(nn.Module):
    """Multi-head attention from one sequence of width H to another of width ``source_width``."""

    def __init__(self, config: QueryEncoderConfig, source_width: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(source_width, config.hidden_size)
        self.value = nn.Linear(source_width, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``states`` to ``source``.

        Args:
            states: (B, S, H).
            source: (B, R, source_width).
            mask: (B, 1, 1, R) bool, True where ``source`` may be attended to; everywhere if None.

        Returns:
            (B, S, H), before residual and norm.
        """
        attend = _attend_on_cpu if states.device.type == "cpu" else functional.scaled_dot_product_attention
        attended = attend(
            self._split(self.query(states)),
            self._split(self.key(source)),
            self._split(self.value(source)),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        merged: Tensor = self.output(attended.transpose(1, 2).flatten(2))
        return merged

    def _split(self, projected: Tensor) -> Tensor:
        batch, length, width = projected.shape
        return projected.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


def _attend_on_cpu(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0
) -> Tensor:
    """Return what torch's scaled-dot-product attention does, by plain matrix products.

    Torch's fused CPU kernel is made for long sequences: for a few dozen positions its backward pass took 0.65 s of a
    1.5 s training step of 64 triplets in bf16, where this takes 0.1 s.

    Args:
        query: (B, heads, S, H / heads).
        key: (B, heads, R, H / heads).
        value: (B, heads, R, H / heads).
        attn_mask: (B, 1, 1, R) bool, or None.
        dropout_p: Probability of dropping an attention weight.
    """
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).to(value.dtype)
    if dropout_p > 0.0:
        weights = functional.dropout(weights, dropout_p)
    return torch.matmul(weights, value)


class FeedForward(nn.Module):
    """The two linear maps of a transformer layer, with an exact GELU between them."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """Return (B, S, H) for (B, S, H), before residual and norm."""
        out: Tensor = self.down(functional.gelu(self.up(states)))
        return out


class QueryEncoderLayer(nn.Module):
    """One layer; post-norm, as in BERT."""

    def __init__(self, config: QueryEncoderConfig, cross_attends: bool) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.dropout = nn.Dropout(config.dropout)
        self.attention = Attention(config, source_width=width)
        self.attention_norm = nn.LayerNorm(width, eps)
        self.cross_attention = Attention(config, source_width=config.image_width) if cross_attends else None
        self.cross_norm = nn.LayerNorm(width, eps) if cross_attends else None
        self.query_feed_forward = FeedForward(config)
        self.query_norm = nn.LayerNorm(width, eps)
        self.text_feed_forward = FeedForward(config)
        self.text_norm = nn.LayerNorm(width, eps)

    def forward(self, inputs: Tensor, mask: Tensor | None, image_tokens: Tensor | None, queries: int) -> Tensor:
        """Apply the layer.

        Args:
            inputs: (B, S, H), the first ``queries`` positions being query positions.
            mask: (B, 1, 1, S) bool, or None when every position is real.
            image_tokens: (B, T, W) for the query positions to attend to, or None.
            queries: How many leading positions are query positions; 0 sends all through the text feed-forward.
        """
        states: Tensor = self.attention_norm(inputs + self.dropout(self.attention(inputs, inputs, mask)))
        if queries == 0:
            return self._text_block(states)
        query_states: Tensor = states[:, :queries]
        if self.cross_attention is not None and self.cross_norm is not None and image_tokens is not None:
            looked = self.dropout(self.cross_attention(query_states, image_tokens))
            query_states = self.cross_norm(query_states + looked)
        query_states = self.query_norm(query_states + self.dropout(self.query_feed_forward(query_states)))
        if states.shape[1] == queries:
            return query_states
        return torch.cat([query_states, self._text_block(states[:, queries:])], dim=1)

    def _text_block(self, states: Tensor) -> Tensor:
        out: Tensor = self.text_norm(states + self.dropout(self.text_feed_forward(states)))
        return out


class Embeddings(nn.Module):
    """Word and position embeddings, and the norm that every input of the first layer passes."""

    def __init__(self, config: QueryEncoderConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocabulary_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def words(self, ids: Tensor) -> Tensor:
        """Return (B, L, H) word embeddings without positions."""
        embedded: Tensor = self.word(ids)
        return embedded

    def with_positions(self, states: Tensor) -> Tensor:
        """Add the position embeddings 0…S-1 to ``states`` (B, S, H)."""
        return states + self.position.weight[: states.shape[1]]

    def normalised(self, states: Tensor) -> Tensor:
        """Return ``states`` (B, S, H) as the first layer reads them."""
        normalised: Tensor = self.dropout(self.norm(states))
        return normalised


class QueryEncoder(nn.Module):
    """The query encoder's four modes over one set of weights (design.md, "The method")."""

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

    def encode_image(self, image_tokens: Tensor) -> Tensor:
        """Let the query tokens look at an image.

        Args:
            image_tokens: (B, T, W).

        Returns:
            (B, N, H).
        """
        queries = self.embeddings.normalised(self._query_tokens(image_tokens.shape[0]))
        return self._run(queries, None, self.image_norm(image_tokens), self.config.query_tokens)

    def fuse(self, image_tokens: Tensor, text: TextBatch) -> Tensor:
        """Hop one: query tokens read an image and a text together.

        Args:
            image_tokens: (B, T, W).
            text: (B, L).

        Returns:
            (B, N+L, H); the first N positions are the fused query tokens.
        """
        queries = self._query_tokens(image_tokens.shape[0])
        states = self._queries_then_text(queries, text)
        mask = _attention_mask(text.mask, extra=self.config.query_tokens)
        return self._run(states, mask, self.image_norm(image_tokens), self.config.query_tokens)

    def compose(self, tokens: Tensor, text: TextBatch) -> Tensor:
        """Hop two: ``tokens`` stand in for the query tokens, and there is no image.

        Cross-attention is skipped and every position goes through the text feed-forward, as in SPRC's release.

        Args:
            tokens: (B, N, H), hop one's output at the query positions.
            text: (B, L).

        Returns:
            (B, N+L, H); position N is the text's [CLS].
        """
        states = self._queries_then_text(tokens, text)
        return self._run(states, _attention_mask(text.mask, extra=tokens.shape[1]), None, 0)

    def encode_text(self, text: TextBatch, prompts: Tensor | None = None) -> Tensor:
        """Read text alone.

        Args:
            text: (B, L), each beginning with [CLS].
            prompts: (P, H) learned tokens set between [CLS] and the rest; all count as one sequence of positions.

        Returns:
            (B, P+L, H); read position 0.
        """
        words = self.embeddings.words(text.ids)
        extra = 0
        if prompts is not None:
            inserted = prompts.to(words.dtype).expand(len(text), -1, -1)
            words = torch.cat([words[:, :1], inserted, words[:, 1:]], dim=1)
            extra = prompts.shape[0]
        states = self.embeddings.normalised(self.embeddings.with_positions(words))
        # The mask's first position is [CLS], always real, so `extra` ones before it or after it are the same.
        return self._run(states, _attention_mask(text.mask, extra=extra), None, 0)

    def _query_tokens(self, batch: int) -> Tensor:
        return self.query_tokens.expand(batch, -1, -1)

    def _queries_then_text(self, queries: Tensor, text: TextBatch) -> Tensor:
        words = self.embeddings.with_positions(self.embeddings.words(text.ids))
        return self.embeddings.normalised(torch.cat([queries.to(words.dtype), words], dim=1))

    def _run(self, states: Tensor, mask: Tensor | None, image_tokens: Tensor | None, queries: int) -> Tensor:
        for layer in self.layers:
            states = layer(states, mask, image_tokens, queries)
        return states


def _attention_mask(text_mask: Tensor, extra: int) -> Tensor:
    """Return (B, 1, 1, extra+L) bool from (B, L), the ``extra`` leading positions being always real."""
    real = functional.pad(text_mask.bool(), (extra, 0), value=True)
    return real[:, None, None, :]
