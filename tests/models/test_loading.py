from pathlib import Path

import pytest
import torch

from helpers.errors import raises
from likebut.errors import MissingWeightsError
from likebut.models.loading import load_language_model, load_query_encoder, load_tokenizer, load_vision
from likebut.models.preset import load_preset


@pytest.mark.parametrize("load", [load_vision, load_query_encoder, load_tokenizer, load_language_model])
def test_missing_weights_name_the_pull_command(load: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path))
    assert callable(load)
    with raises(MissingWeightsError, None, "`likebut models pull small`"):
        load(load_preset("small"))


def test_query_encoder_is_decided_by_the_seed() -> None:
    preset = load_preset("tiny")
    first, again = load_query_encoder(preset).state_dict(), load_query_encoder(preset).state_dict()
    other = load_query_encoder(preset.model_copy(update={"seed": 1})).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["query_tokens"], other["query_tokens"])
    assert len(first["query_tokens"].unique(dim=0)) == preset.query_encoder.query_tokens


def test_word_embeddings_alone_are_frozen() -> None:
    frozen = [n for n, v in load_query_encoder(load_preset("tiny")).named_parameters() if not v.requires_grad]
    assert frozen == ["embeddings.word.weight"]


def test_tokenizer_fits_the_query_encoder() -> None:
    preset = load_preset("tiny")
    text = load_tokenizer(preset)(["make it red", "with longer sleeves"])
    assert load_query_encoder(preset).eval().encode_text(text).shape == (2, text.ids.shape[1], 32)


def test_the_language_model_is_frozen_seeded_and_generates() -> None:
    language, again = (load_language_model(load_preset("tiny")) for _ in range(2))
    assert not any(value.requires_grad for value in language.model.parameters())
    assert not language.model.training
    prompt = torch.tensor(language.encode(["red"]))
    written = [
        item.model.generate(prompt, max_new_tokens=5, do_sample=False, eos_token_id=item.end_id, pad_token_id=257)
        for item in (language, again)
    ]
    assert torch.equal(*written) and language.decode(written[0][0].tolist()).startswith("red")
    assert language.width == language.model.get_input_embeddings().weight.shape[1]


def test_half_precision_weights_keep_exact_rotations() -> None:
    language = load_language_model(load_preset("tiny"), dtype=torch.bfloat16)
    assert {value.dtype for value in language.model.parameters()} == {torch.bfloat16}
    assert language.model.model.rotary_emb.inv_freq.dtype == torch.float32
