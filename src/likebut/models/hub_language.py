"""Language models in the hub's layout: standalone, or inside an InstructBLIP or BLIP-2 model."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from likebut.errors import InputError, MissingDependencyError
from likebut.files import read_json
from likebut.models.language import LanguageModel
from likebut.models.preset import HubLanguageModelPart

_AROUND = {"instructblip": "InstructBlipForConditionalGeneration", "blip-2": "Blip2ForConditionalGeneration"}


class HubTokenizer:
    """A transformers tokenizer as a :class:`LanguageTokenizer`.

    Args:
        tokenizer: The transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.end_id: int = tokenizer.eos_token_id
        self.pad_id: int = self.end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        self.opening_ids, self.closing_ids = self._special_tokens_around()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        rows: list[list[int]] = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return rows

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _special_tokens_around(self) -> tuple[list[int], list[int]]:
        bare: list[int] = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole: list[int] = self._tokenizer("a")["input_ids"]
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return whole[:start], whole[start + len(bare) :]
        return [], []


def read_language_model(folder: Path, part: HubLanguageModelPart, dtype: torch.dtype) -> LanguageModel:
    """Return the language model in ``folder``, frozen.

    Raises:
        InputError: The folder has no language model in safetensors, or its width is not the preset's.
        MissingDependencyError: The preset quantises the model and bitsandbytes is not installed.
    """
    model = _read_model(folder, dtype, _quantisation(part, dtype))
    if model.config.hidden_size != part.width:
        raise InputError(
            f"The language model in {folder} has width {model.config.hidden_size}, but the preset has {part.width}.",
            f"Set the preset's language_model.width to {model.config.hidden_size}, or use another source.",
            code="preset-mismatch",
        )
    tokenizer = HubTokenizer(_read_tokenizer(folder))
    return LanguageModel(model, tokenizer, tokenizer.opening_ids, tokenizer.closing_ids)


def _read_model(folder: Path, dtype: torch.dtype, quantisation: dict[str, Any]) -> Any:
    import transformers

    config = read_json(folder / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind in _AROUND:
        name = _AROUND[kind]
    else:
        name = "AutoModelForSeq2SeqLM" if config.get("is_encoder_decoder") else "AutoModelForCausalLM"
    try:
        model = getattr(transformers, name).from_pretrained(folder, dtype=dtype, use_safetensors=True, **quantisation)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            f"{folder} has no loadable language model ({reason}).",
            "Use another source in the preset.",
            "unloadable-model",
        ) from None
    return model.language_model if kind in _AROUND else model


def _quantisation(part: HubLanguageModelPart, dtype: torch.dtype) -> dict[str, Any]:
    if part.quantised is None:
        return {}
    if find_spec("bitsandbytes") is None:
        raise MissingDependencyError(
            f"The preset quantises its language model to {part.quantised}, and bitsandbytes is not installed.",
            "Run `pip install bitsandbytes`, or remove language_model.quantised from the preset.",
        )
    if not torch.cuda.is_available():
        raise InputError(
            f"The preset quantises its language model to {part.quantised}, which needs a GPU.",
            "Use a machine with a CUDA GPU, or remove language_model.quantised from the preset.",
            code="needs-gpu",
        )
    from transformers import BitsAndBytesConfig

    # Modules around the language model are not quantised.
    kept = ["vision_model", "qformer", "language_projection", "lm_head"]
    bits = (
        {"load_in_8bit": True} if part.quantised == "8bit" else {"load_in_4bit": True, "bnb_4bit_compute_dtype": dtype}
    )
    return {"quantization_config": BitsAndBytesConfig(llm_int8_skip_modules=kept, **bits), "device_map": {"": 0}}


def _read_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{folder} has no tokenizer ({reason}).", "Use a folder with a tokenizer.json.") from None
