"""What the training loop asks of a task: a model with its losses."""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from likebut.generator.mtst import MTST, CaptionBatch, GeneratorBatch, WordBatch
from likebut.models.attention import set_dropout
from likebut.models.process_group import first_label, gather_ids, gather_with_gradient
from likebut.retriever.base import ComposedRetriever, ImageTextBatch, RetrievalOutputs, TripletBatch
from likebut.retriever.losses import contrastive_loss, prototype_loss, same_target_mask


class Task(Protocol):
    """What the loop trains."""

    @property
    def model(self) -> nn.Module:
        """Its parameters that require a gradient are trained and saved."""

    def training_forward(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return scalars: the loop adds up every key that ends in ``_loss`` and logs the rest.

        Args:
            model: ``self.model``.
            batch: What the batches yield, on the model's device.
        """


def summed(losses: dict[str, Tensor]) -> Tensor:
    """Return the sum of every value whose key ends in ``_loss``."""
    return torch.stack([value.float() for name, value in losses.items() if name.endswith("_loss")]).sum()


@dataclass(frozen=True, slots=True)
class RetrievalWeights:
    """How much each loss counts (docs/method.md, "Losses").

    Attributes:
        alpha: α of L_p2p.
        text: λ of the text-only term.
        label_smoothing: Of the composed query's term; the published code smooths no other.
        mask_false_negatives: Whether a triplet's target elsewhere in the batch, and its further right answers, are left
            out of its denominator.
    """

    alpha: float = 0.4
    text: float = 0.4
    label_smoothing: float = 0.1
    mask_false_negatives: bool = True


class RetrievalTask:
    """L = CE(f_q → f_t) + λ·CE(f_m → f_t) + α·L_p2p, of whichever the model puts out."""

    def __init__(self, model: nn.Module, weights: RetrievalWeights) -> None:
        self.model = model
        self.weights = weights

    def training_forward(self, model: nn.Module, batch: TripletBatch | ImageTextBatch) -> dict[str, Tensor]:
        """Return ``query_loss``, ``text_loss`` and ``prototype_loss``, weighted, and the temperature.

        Of single images with captions it is ``caption_loss`` and the temperature.
        """
        if isinstance(batch, ImageTextBatch):
            return self._of_captions(cast(ComposedRetriever, self.model), batch)
        outputs: RetrievalOutputs = model(batch)
        candidates = gather_with_gradient(outputs.target_embeddings)
        if outputs.hard_negative_embeddings is not None:
            candidates = torch.cat([candidates, gather_with_gradient(outputs.hard_negative_embeddings)])
        masked = self._false_negatives(batch, len(candidates))
        own = first_label(len(outputs.query_embeddings))
        temperature = cast(ComposedRetriever, self.model).temperature
        result = {
            "query_loss": contrastive_loss(
                outputs.query_embeddings, candidates, temperature, self.weights.label_smoothing, own, masked
            ),
            "temperature": temperature.detach(),
        }
        if outputs.text_embeddings is not None and self.weights.text > 0:
            text = contrastive_loss(outputs.text_embeddings, candidates, temperature, 0.0, own, masked)
            result["text_loss"] = self.weights.text * text
        if outputs.prototypes is not None and self.weights.alpha > 0:
            result["prototype_loss"] = self.weights.alpha * prototype_loss(*outputs.prototypes)
        return result

    def _of_captions(self, model: ComposedRetriever, batch: ImageTextBatch) -> dict[str, Tensor]:
        """Return CE(f_caption → f_image): the text alone must find its image."""
        images = gather_with_gradient(model.embed_targets(batch.image_tokens))
        texts = model.embed_texts(batch.captions)
        same = same_target_mask(batch.image_ids, gather_ids(batch.image_ids))
        loss = contrastive_loss(
            texts, images, model.temperature, self.weights.label_smoothing, first_label(len(texts)), same
        )
        return {"caption_loss": loss, "temperature": model.temperature.detach()}

    def _false_negatives(self, batch: TripletBatch, candidates: int) -> Tensor | None:
        if batch.target_ids is None or not self.weights.mask_false_negatives:
            return None
        known = gather_ids(batch.target_ids)
        if batch.hard_negative_ids is not None:
            known = torch.cat([known, gather_ids(batch.hard_negative_ids)])
        same = same_target_mask(batch.target_ids, known, batch.further_target_ids)
        # Hard negatives without ids, if any, follow the targets and are never right.
        return torch.nn.functional.pad(same, (0, candidates - same.shape[1]), value=False)


class GeneratorTask:
    """The losses of MTST: of words, and the causal language model's on captions of single images or texts of pairs.

    Args:
        model: MTST.
        words_dropout: The query encoder's in the words stage, instead of its own.
    """

    def __init__(self, model: MTST, words_dropout: float | None = None) -> None:
        self.model = model
        self._own_dropout = model.query_encoder.config.dropout
        self._words_dropout = self._own_dropout if words_dropout is None else words_dropout

    def training_forward(self, model: nn.Module, batch: GeneratorBatch | CaptionBatch | WordBatch) -> dict[str, Tensor]:
        """Return ``word_loss`` in the words stage, ``language_loss`` in the others."""
        is_of_words = isinstance(batch, WordBatch)
        set_dropout(self.model.query_encoder, self._words_dropout if is_of_words else self._own_dropout)
        return {"word_loss" if is_of_words else "language_loss": model(batch)}
