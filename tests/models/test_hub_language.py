"""Language models in the hub's layout: what is refused, and what stays as it was loaded."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from helpers.errors import raises
from helpers.hub_models import LLAMA, WORDS, drawn, hub_preset, save_tokenizer
from likebut.errors import InputError, MissingDependencyError
from likebut.models import hub_language
from likebut.models.language import LanguageModel
from likebut.models.loading import load_language_model
from likebut.models.preset import Preset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    drawn(LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=WORDS))).save_pretrained(folder)
    save_tokenizer(folder / "tokenizer.json", "<s>", "")
    names = '{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}'
    (folder / "tokenizer_config.json").write_text(names)
    return folder


def preset(folder: Path, **changes: Any) -> Preset:
    return Preset.model_validate(hub_preset("a/b", folder, **changes))


def test_a_causal_model_on_its_own(folder: Path) -> None:
    language = load_language_model(preset(folder))
    assert language.width == 16 and not language.is_encoder_decoder
    assert language.model.get_input_embeddings().weight.dtype == torch.float32
    assert not any(value.requires_grad for value in language.model.parameters())
    assert language.pad_id == language.end_id == 4  # no padding token: the end fills a batch


def test_the_presets_precision(folder: Path) -> None:
    language = load_language_model(preset(folder, language_model__precision="bf16"))
    assert language.model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_another_width_than_the_presets(folder: Path) -> None:
    with raises(InputError, "preset-mismatch", 16, 4096):
        load_language_model(preset(folder, language_model__width=4096))


def test_a_folder_without_a_language_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with raises(InputError, "unloadable-model"):
        load_language_model(preset(tmp_path))


@pytest.mark.parametrize(
    ("installed", "expected", "code"),
    [(False, MissingDependencyError, "missing-dependency"), (True, InputError, "needs-gpu")],
)
def test_quantisation_needs_bitsandbytes_and_a_gpu(
    installed: bool, expected: type[InputError], code: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_language, "find_spec", lambda _: object() if installed else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises(expected, code, "8bit"):
        load_language_model(preset(folder, language_model__quantised="8bit"))


def test_a_quantised_model_is_not_moved(folder: Path) -> None:
    language: LanguageModel = load_language_model(preset(folder))
    language.model.is_quantized = True
    language.to(torch.bfloat16)
    assert language.model.get_input_embeddings().weight.dtype == torch.float32
    language.model.is_quantized = False
    language.to(torch.bfloat16)
    assert language.model.get_input_embeddings().weight.dtype == torch.bfloat16
