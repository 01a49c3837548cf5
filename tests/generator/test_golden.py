"""The converted generator against tensors of the published implementation (fixtures/README.md)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from helpers.paths import FIXTURES
from likebut.cli.main import app
from likebut.generator.decoding import Decoding, generate_ids
from likebut.generator.generator import ModificationGenerator
from likebut.generator.mtst import INSTRUCTION, MTST
from likebut.models.tokenizers import TextBatch

GOLDEN = FIXTURES / "generator.safetensors"
TOLERANCE = {"rtol": 0, "atol": 1e-4}
_NO_LABEL = -100


class GivenIds:
    """Replaces both tokenizers: returns the ids of the published run for any text."""

    def __init__(self, golden: dict[str, Tensor], end_id: int, pad_id: int) -> None:
        self._golden = golden
        self.end_id, self.pad_id = end_id, pad_id

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        ids = self._golden["in.instruction_ids"]
        return TextBatch(ids, torch.ones_like(ids))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        if texts[0] == INSTRUCTION:
            return self._golden["in.llm_instruction_ids"].tolist()
        rows = [[i for i in row if i != _NO_LABEL] for row in self._golden["in.labels"].tolist()]
        assert all(row[-1] == self.end_id for row in rows)
        return [row[:-1] for row in rows]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(str(i) for i in ids)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with safe_open(GOLDEN, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}


@pytest.fixture(scope="module")
def sizes() -> dict[str, Any]:
    with safe_open(GOLDEN, "pt") as file:
        return {name: json.loads(value) for name, value in file.metadata().items()}


def write_language_model(folder: Path, weights: dict[str, Tensor], said: dict[str, Any]) -> None:
    shared = (
        "vocab_size",
        "max_position_embeddings",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "hidden_act",
    )
    heads = ("num_attention_heads", "num_key_value_heads", "rms_norm_eps", "tie_word_embeddings", "attention_bias")
    config = LlamaConfig(
        **{name: said[name] for name in shared + heads},
        rope_parameters={"rope_type": "default", "rope_theta": said["rope_theta"]},
        bos_token_id=said["bos_token_id"],
        eos_token_id=said["eos_token_id"],
        pad_token_id=said["pad_token_id"],
    )
    model = LlamaForCausalLM(config)
    own = {n.removeprefix("llm_model."): v for n, v in weights.items() if n.startswith("llm_model.")}
    outcome = model.load_state_dict(own, strict=False)
    assert not outcome.unexpected_keys
    assert set(outcome.missing_keys) <= ({"lm_head.weight"} if said["tie_word_embeddings"] else set())
    model.save_pretrained(folder)
    Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2}, "a")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "</s>", "bos_token": "<s>"}))


def write_preset(path: Path, encoder: dict[str, Any], width: int) -> None:
    preset = {
        "name": "golden",
        "description": "",
        "vision": {
            "kind": "none",
            "image_size": 224,
            "pad_ratio": 1.25,
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
            "width": encoder["encoder_width"],
            "tokens": 0,
        },
        "query_encoder": {
            "hidden_size": encoder["hidden_size"],
            "layers": encoder["num_hidden_layers"],
            "heads": encoder["num_attention_heads"],
            "intermediate_size": encoder["intermediate_size"],
            "query_tokens": encoder["query_tokens"],
            "image_width": encoder["encoder_width"],
            "vocabulary_size": encoder["vocab_size"],
            "max_positions": encoder["max_position_embeddings"],
            "cross_attention_every": encoder["cross_attention_every"],
            "layer_norm_eps": encoder["layer_norm_eps"],
        },
        "tokenizer": {"kind": "none"},
        "language_model": {"kind": "hub", "source": "language", "width": width, "precision": "fp32"},
        "embedding_size": 8,
        "hub_sources": {"language": {"hub": "./language"}},
    }
    path.write_text(json.dumps(preset))


@pytest.fixture(scope="module")
def model(golden: dict[str, Tensor], sizes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> MTST:
    folder = tmp_path_factory.mktemp("published")
    weights = {name.removeprefix("weight."): value for name, value in golden.items() if name.startswith("weight.")}
    torch.save({"model": weights, "epoch": 3}, folder / "checkpoint.pth")
    language = sizes["language_model"]
    write_language_model(folder / "language", weights, language)
    write_preset(folder / "preset.json", sizes["config"], language["hidden_size"])
    arguments = ["models", "convert", str(folder / "checkpoint.pth"), "--job", "generator", "--json"]
    arguments += ["--preset", str(folder / "preset.json"), "--out", str(folder / "model")]
    outcome = CliRunner().invoke(app, arguments, catch_exceptions=False)
    ignored = json.loads(outcome.stdout)["ignored"]
    assert set(ignored) == {name for name in weights if name.startswith(("Qformer.cls.", "llm_model."))}
    generator = ModificationGenerator.from_pretrained(folder / "model", "cpu")
    given = GivenIds(golden, language["eos_token_id"], language["pad_token_id"])
    generator.model._tokenizer = given  # type: ignore[assignment]
    written = generator.model.language
    written.tokenizer, written.end_id, written.pad_id = given, given.end_id, given.pad_id
    written.opening_ids = written.closing_ids = ()
    return generator.model


@torch.no_grad()
def test_queries(model: MTST, golden: dict[str, Tensor]) -> None:
    queries = model.pair_queries(golden["in.reference_vision"], golden["in.target_vision"])
    for name, found in zip(("reference", "target", "combined"), queries, strict=True):
        torch.testing.assert_close(found, golden[f"out.q_{name}"], **TOLERANCE)


@torch.no_grad()
def test_prefix(model: MTST, golden: dict[str, Tensor]) -> None:
    prefix = model.pair_prefix(golden["in.reference_vision"], golden["in.target_vision"])
    torch.testing.assert_close(prefix, golden["out.prefix_embeddings"], **TOLERANCE)


@torch.no_grad()
def test_loss(model: MTST, golden: dict[str, Tensor]) -> None:
    prefix = model.pair_prefix(golden["in.reference_vision"], golden["in.target_vision"])
    loss = model.loss(prefix, ["any text"] * len(prefix))
    torch.testing.assert_close(loss, golden["out.loss"].squeeze(), **TOLERANCE)


@torch.no_grad()
def test_greedy_ids(model: MTST, golden: dict[str, Tensor]) -> None:
    expected = golden["out.greedy_ids"][:, 1:]  # the first is a placeholder
    prefix = model.pair_prefix(golden["in.reference_vision"], golden["in.target_vision"])
    count = expected.shape[1]
    greedy = Decoding(method="greedy", repetition_penalty=1.0, min_new_tokens=0, max_new_tokens=count)
    written = generate_ids(model.language, prefix, greedy)
    assert written.tolist() == expected.tolist()
