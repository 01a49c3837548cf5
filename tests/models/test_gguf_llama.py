from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import raises
from helpers.published import LLAMA_TOKENS, permute_rotary, write_gguf
from likebut.errors import InputError
from likebut.models.llama import convert_gguf, fill_llama, new_llama, unpermute_rotary
from likebut.models.preset import LanguageModelPart, load_preset
from likebut.models.tokenizers import BytePairTokenizer


def sizes() -> LanguageModelPart:
    part = load_preset("tiny").language_model
    assert isinstance(part, LanguageModelPart)
    return part.model_copy(update={"vocabulary_size": len(LLAMA_TOKENS)})


@pytest.fixture(scope="module")
def llama() -> torch.nn.Module:
    torch.manual_seed(0)
    model = new_llama(sizes(), torch.float32).eval()
    for value in model.parameters():
        # Larger than the initial 0.02, so that attention is far from uniform and a wrong rotation shows.
        value.data.mul_(10)
    return model


@pytest.fixture
def gguf(llama: torch.nn.Module, tmp_path: Path) -> Path:
    state = {name: value for name, value in llama.state_dict().items() if name != "lm_head.weight"}
    write_gguf(tmp_path / "llama.gguf", state, heads=4, key_value_heads=2)
    return tmp_path / "llama.gguf"


@torch.no_grad()
def test_converted_llama_predicts_as_the_original(llama: torch.nn.Module, gguf: Path) -> None:
    weights, _ = convert_gguf(gguf)
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    state = llama.state_dict()
    assert weights.keys() == state.keys() - {"lm_head.weight"}
    for name, value in weights.items():
        # Off by half a step of the 8-bit grid and of bf16 at most; another order of rows would be far off.
        step = state[name].abs().max() / 127 if value.dim() == 2 else 0.0
        assert ((value.float() - state[name]).abs() <= 0.51 * step + state[name].abs() / 256).all(), name
    converted = fill_llama(sizes(), weights, torch.float32).eval()
    ids = torch.randint(0, len(LLAMA_TOKENS), (2, 24), generator=torch.Generator().manual_seed(0))
    expected, found = llama(ids).logits, converted(ids).logits
    assert (found - expected).abs().mean() < 0.06 * expected.abs().mean()


@given(heads=st.integers(1, 5), half=st.integers(1, 6), width=st.integers(1, 4))
def test_unpermuting_undoes_the_permutation(heads: int, half: int, width: int) -> None:
    weight = np.arange(heads * 2 * half * width, dtype=np.float32).reshape(-1, width)
    assert np.array_equal(unpermute_rotary(permute_rotary(weight, heads), heads), weight)


def test_tokenizer_merges_splits_digits_and_keeps_bytes(gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(convert_gguf(gguf)[1])
    tokenizer = BytePairTokenizer(path, "<|im_end|>", "<|im_end|>")
    assert (tokenizer.end_id, tokenizer.pad_id) == (2, 2)
    assert [LLAMA_TOKENS[i] for i in tokenizer.encode(["a red"])[0]] == ["a", "Ġred"]
    assert [LLAMA_TOKENS[i] for i in tokenizer.encode(["12"])[0]] == ["1", "2"]
    text = "Größe 42, 👗\nred <|im_end|>"
    assert tokenizer.decode([*tokenizer.encode([text])[0], 2, 2]) == text


def test_an_unknown_special_token_is_named(gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(convert_gguf(gguf)[1])
    with raises(InputError, None, "<stop>"):
        BytePairTokenizer(path, "<stop>", "<|im_end|>")


@pytest.mark.parametrize(("key", "value"), [("pre", "llama-bpe"), ("architecture", "gemma")])
def test_another_kind_of_model_is_refused(key: str, value: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "odd.gguf", {}, heads=4, key_value_heads=2, **{key: value})
    with raises(InputError, None, value):
        convert_gguf(tmp_path / "odd.gguf")


def test_weights_of_another_size_are_refused(gguf: Path) -> None:
    weights, _ = convert_gguf(gguf)
    with raises(InputError, "parameter-mismatch"):
        fill_llama(sizes().model_copy(update={"intermediate_size": 32}), weights, torch.float32)
    with raises(InputError, "parameter-mismatch"):
        fill_llama(sizes().model_copy(update={"layers": 3}), weights, torch.float32)
