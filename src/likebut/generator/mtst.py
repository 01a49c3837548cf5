"""MTST: query encoder and projection in front of a frozen language model.

Shapes: B batch, T image tokens, W their width, N query tokens, H query-encoder width, S prefix positions, I tokens of
the instruction, D width of the language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from likebut.generator.losses import language_loss, with_end_token, word_loss
from likebut.models.language import LanguageModel
from likebut.models.process_group import gather_lists, gather_with_gradient
from likebut.models.query_encoder import QueryEncoder
from likebut.models.tokenizers import TextBatch, Tokenizer

INSTRUCTION = "How to change from one image to the other image?"
CAPTION_INSTRUCTION = "What is in the image?"
# Image tokens of the presets have a root mean square of 1 to 5 before the query encoder's first norm.
_IMAGE_TYPE_STD = 1.0


@dataclass(frozen=True, slots=True)
class GeneratorBatch:
    """Pairs of images with their modification texts.

    Attributes:
        reference_tokens: (B, T, W) image tokens.
        target_tokens: (B, T, W) image tokens.
        texts: B modification texts.
    """

    reference_tokens: Tensor
    target_tokens: Tensor
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class CaptionBatch:
    """Single images with captions.

    Attributes:
        image_tokens: (B, T, W) image tokens.
        texts: B captions.
    """

    image_tokens: Tensor
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class WordBatch:
    """Pairs with their modification texts, and single images with all of their captions, for the words stage.

    Attributes:
        pairs: Pairs of images.
        images: Single images; the text of each is the concatenation of its captions.
    """

    pairs: GeneratorBatch
    images: CaptionBatch


class MTST(nn.Module):
    """Query encoder and projection in front of a frozen language model.

    The query encoder, its query tokens and the projection are trained. The language model is neither trained nor
    saved.

    Args:
        query_encoder: Reads the image tokens.
        language_model: Writes the text.
        tokenizer: Tokenizer of the query encoder.
        instruction: Prompt of both models for a pair.
        caption_instruction: Prompt of both models for a single image.
        image_type_embeddings: Whether a learned vector is added to the image tokens of the reference and of the target
            where they are encoded together. Without it, as published, q_c does not depend on which image is which.
    """

    def __init__(
        self,
        query_encoder: QueryEncoder,
        language_model: LanguageModel,
        tokenizer: Tokenizer,
        instruction: str = INSTRUCTION,
        caption_instruction: str = CAPTION_INSTRUCTION,
        image_type_embeddings: bool = False,
    ) -> None:
        super().__init__()
        self.query_encoder = query_encoder
        self.projection = nn.Linear(query_encoder.config.hidden_size, language_model.width)
        self.image_type_embeddings: nn.Parameter | None = None
        if image_type_embeddings:
            self.image_type_embeddings = nn.Parameter(
                _IMAGE_TYPE_STD * torch.randn(2, query_encoder.config.image_width)
            )
        self.instruction = instruction
        self.caption_instruction = caption_instruction
        # In a list, so that it is not a sub-module: not in state_dict(), parameters() or train().
        self._language = [language_model]
        self._tokenizer = tokenizer

    @property
    def language(self) -> LanguageModel:
        """The frozen language model."""
        return self._language[0]

    def pair_prefix(self, reference_tokens: Tensor, target_tokens: Tensor) -> Tensor:
        """Return [proj(q_r) ; proj(q_t) ; proj(q_c) ; embed(instruction)] of each pair.

        Args:
            reference_tokens: (B, T, W).
            target_tokens: (B, T, W).

        Returns:
            (B, 3N + I, D).
        """
        queries = self.pair_queries(reference_tokens, target_tokens)
        return self._with_instruction(torch.cat(queries, dim=1), self.instruction)

    def pair_queries(self, reference_tokens: Tensor, target_tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return q_r, q_t and q_c, each (B, N, H): encodings of the reference, the target, and both together."""
        combined = self.combined_queries(reference_tokens, target_tokens)
        # One pass for both images.
        single = self.query_encoder.encode_image(torch.cat([reference_tokens, target_tokens], dim=0))
        reference, target = single.chunk(2, dim=0)
        return reference, target, combined

    def combined_queries(self, reference_tokens: Tensor, target_tokens: Tensor) -> Tensor:
        """Return q_c (B, N, H), the encoding of both images together, from image tokens (B, T, W) each."""
        if self.image_type_embeddings is not None:
            reference_tokens = reference_tokens + self.image_type_embeddings[0]
            target_tokens = target_tokens + self.image_type_embeddings[1]
        both = torch.cat([reference_tokens, target_tokens], dim=1)
        instruction = self._tokenized(self.instruction, len(both), both.device)
        return self.query_encoder.fuse(both, instruction, read=self.query_encoder.config.query_tokens)

    def caption_prefix(self, image_tokens: Tensor) -> Tensor:
        """Return [proj(q) ; embed(caption instruction)], (B, N + I, D), of single images (B, T, W)."""
        return self._with_instruction(self.query_encoder.encode_image(image_tokens), self.caption_instruction)

    def forward(self, batch: GeneratorBatch | CaptionBatch | WordBatch) -> Tensor:
        """Return the loss of a batch: of words for a :class:`WordBatch`, of the language model for others."""
        if isinstance(batch, WordBatch):
            return self.words_loss(batch)
        if isinstance(batch, CaptionBatch):
            return self.loss(self.caption_prefix(batch.image_tokens), batch.texts)
        return self.loss(self.pair_prefix(batch.reference_tokens, batch.target_tokens), batch.texts)

    def loss(self, prefix: Tensor, texts: Sequence[str]) -> Tensor:
        """Return the language-model loss of ``texts`` and their end tokens after ``prefix`` (B, S, D)."""
        written = with_end_token(self.language, texts).to(prefix.device)
        return language_loss(self.language.model, prefix, written)

    def words_loss(self, batch: WordBatch) -> Tensor:
        """Return the word loss of pairs plus that of single images, over the global batch."""
        embedding = self.language.model.get_input_embeddings().weight
        pairs = self.projection(self.combined_queries(batch.pairs.reference_tokens, batch.pairs.target_tokens))
        images = self.projection(self.query_encoder.encode_image(batch.images.image_tokens))
        return self._word_loss(pairs, batch.pairs.texts, embedding) + self._word_loss(
            images, batch.images.texts, embedding
        )

    def _word_loss(self, tokens: Tensor, texts: Sequence[str], embedding: Tensor) -> Tensor:
        # Every process computes the loss of the global batch: words of other processes are negatives too.
        return word_loss(gather_with_gradient(tokens), gather_lists(self._words(texts)), embedding)

    def _words(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the language model's ids of each text's words, in their form within a sentence."""
        return self.language.encode([f" {text}" for text in texts])

    def _with_instruction(self, queries: Tensor, instruction: str) -> Tensor:
        projected: Tensor = self.projection(queries)
        ids = torch.tensor(self.language.instruction_ids(instruction), device=projected.device)
        embedded: Tensor = self.language.model.get_input_embeddings()(ids)
        return torch.cat([projected, embedded.to(projected.dtype).expand(len(queries), -1, -1)], dim=1)

    def _tokenized(self, text: str, batch: int, device: torch.device) -> TextBatch:
        one = self._tokenizer([text]).to(device)
        return TextBatch(one.ids.expand(batch, -1), one.mask.expand(batch, -1))
