"""Training tasks: a model with its losses, as the training loop sees it."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from likebut.generator.mtst import MTST, CaptionBatch, GeneratorBatch, WordBatch
from likebut.models.attention import set_dropout
from likebut.models.process_group import first_label, gather_ids, gather_with_gradient
from likebut.recipes.schema import LossSettings
from likebut.retriever.base import NO_TARGET, ComposedRetriever, ImageTextBatch, RetrievalOutputs, TripletBatch
from likebut.retriever.losses import contrastive_loss, prototype_loss, same_target_mask


class Task(Protocol):
    """A model with its losses."""

    @property
    def model(self) -> nn.Module:
        """Its parameters that require a gradient are trained and saved."""

    def training_forward(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return scalars: the loop minimises the sum of those whose key ends in ``_loss`` and logs all of them.

        Args:
            model: ``self.model``.
            batch: A batch on the model's device.
        """

    def after_step(self) -> None:
        """Constrain parameters after an optimizer step."""


def summed(losses: dict[str, Tensor]) -> Tensor:
    """Return the sum of all values whose key ends in ``_loss``."""
    return torch.stack([value.float() for name, value in losses.items() if name.endswith("_loss")]).sum()


class RetrievalTask:
    """L = CE(f_q → f_t) + λ·CE(f_m → f_t) + α·L_p2p, with the terms that the model provides.

    Args:
        model: PTHA or a baseline.
        settings: Weights and options of the losses.
    """

    def __init__(self, model: ComposedRetriever, settings: LossSettings) -> None:
        self.model = model
        self.settings = settings

    def training_forward(self, model: nn.Module, batch: TripletBatch | ImageTextBatch) -> dict[str, Tensor]:
        """Return ``query_loss``, ``text_loss`` and ``prototype_loss``, weighted, and ``temperature``.

        For images with captions: ``caption_loss`` and ``temperature``.
        """
        if isinstance(batch, ImageTextBatch):
            return self._caption_losses(batch)
        settings, temperature = self.settings, self.model.temperature
        outputs: RetrievalOutputs = model(batch)
        if (outputs.hard_negative_embeddings is None) != (batch.hard_negative_tokens is None):
            raise ValueError(f"{type(self.model).__name__} did not embed the batch's hard negatives")
        candidates = gather_with_gradient(outputs.target_embeddings)
        if outputs.hard_negative_embeddings is not None:
            candidates = torch.cat([candidates, gather_with_gradient(outputs.hard_negative_embeddings)])
        masked = self._false_negatives(batch)
        own = first_label(len(outputs.query_embeddings))
        result = {
            "query_loss": contrastive_loss(
                outputs.query_embeddings, candidates, temperature, settings.label_smoothing, own, masked
            ),
            "temperature": temperature.detach(),
        }
        if outputs.text_embeddings is not None and settings.lambda_text > 0:
            text = contrastive_loss(outputs.text_embeddings, candidates, temperature, 0.0, own, masked)
            result["text_loss"] = settings.lambda_text * text
        if outputs.prototypes is not None and settings.alpha > 0:
            result["prototype_loss"] = settings.alpha * prototype_loss(*outputs.prototypes)
        return result

    def after_step(self) -> None:
        """Keep the temperature above its floor."""
        self.model.clamp_temperature()

    def _caption_losses(self, batch: ImageTextBatch) -> dict[str, Tensor]:
        """Return CE(f_caption → f_image), the retrieval of an image by its caption alone."""
        images = gather_with_gradient(self.model.embed_targets(batch.image_tokens))
        texts = self.model.embed_texts(batch.captions)
        same = same_target_mask(batch.image_ids, gather_ids(batch.image_ids))
        temperature = self.model.temperature
        loss = contrastive_loss(
            texts, images, temperature, self.settings.label_smoothing, first_label(len(texts)), same
        )
        return {"caption_loss": loss, "temperature": temperature.detach()}

    def _false_negatives(self, batch: TripletBatch) -> Tensor | None:
        """Return (B, C) bool over the candidates of all processes, targets first, then hard negatives."""
        if batch.target_ids is None or not self.settings.mask_false_negatives:
            return None
        ids = gather_ids(batch.target_ids)
        if batch.hard_negative_tokens is not None:
            negatives = batch.hard_negative_ids
            if negatives is None:
                negatives = torch.full((len(batch.hard_negative_tokens),), NO_TARGET, device=ids.device)
            ids = torch.cat([ids, gather_ids(negatives)])
        return same_target_mask(batch.target_ids, ids, batch.further_target_ids)


class GeneratorTask:
    """The losses of MTST: the word loss, and the causal language modelling loss on captions or modification texts.

    Args:
        model: MTST.
        words_dropout: The query encoder's dropout in the words stage; its own if None.
    """

    def __init__(self, model: MTST, words_dropout: float | None = None) -> None:
        self.model = model
        self._own_dropout = model.query_encoder.config.dropout
        self._words_dropout = self._own_dropout if words_dropout is None else words_dropout

    def training_forward(self, model: nn.Module, batch: GeneratorBatch | CaptionBatch | WordBatch) -> dict[str, Tensor]:
        """Return ``word_loss`` in the words stage, ``language_loss`` in the others."""
        is_words_stage = isinstance(batch, WordBatch)
        set_dropout(self.model.query_encoder, self._words_dropout if is_words_stage else self._own_dropout)
        return {"word_loss" if is_words_stage else "language_loss": model(batch)}

    def after_step(self) -> None:
        """Constrain nothing."""
