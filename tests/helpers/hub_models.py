"""Small random models of transformers, saved as the hub has them, and presets that name them."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForImageTextRetrieval,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    T5Config,
)

WORDS = 60
QUERIES = 5
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 28,
    "patch_size": 14,
}
ENCODER = {
    "vocab_size": WORDS,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "encoder_hidden_size": 32,
}
LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def drawn(model: nn.Module) -> Any:
    """Give every parameter a value of some size: the pretrained initialisation hides mistakes near zero."""
    torch.manual_seed(5)
    with torch.no_grad():
        for value in model.parameters():
            value.normal_(std=0.25)
    return model.eval()


def save_blip2(folder: Path) -> Any:
    config = Blip2Config(
        vision_config=Blip2VisionConfig(**VISION),
        qformer_config=Blip2QFormerConfig(**ENCODER, use_qformer_text_input=True),
        num_query_tokens=QUERIES,
        image_text_hidden_size=7,
    )
    model = drawn(Blip2ForImageTextRetrieval(config))
    model.save_pretrained(folder)
    save_tokenizer(folder / "tokenizer.json", "[CLS]", "[SEP]")
    return model


def save_instructblip(folder: Path, encoder_decoder: bool = False) -> Any:
    text = T5Config(vocab_size=WORDS, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2, decoder_start_token_id=0)
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(**VISION),
        qformer_config=InstructBlipQFormerConfig(**ENCODER),
        text_config=text if encoder_decoder else LlamaConfig(**LLAMA, vocab_size=WORDS),
        num_query_tokens=QUERIES,
        image_token_index=WORDS - 1,
    )
    model = drawn(InstructBlipForConditionalGeneration(config))
    model.save_pretrained(folder, max_shard_size="60KB")  # in shards, as the large ones are
    save_tokenizer(folder / "qformer_tokenizer" / "tokenizer.json", "[CLS]", "[SEP]")
    save_tokenizer(folder / "tokenizer.json", *(("", "</s>") if encoder_decoder else ("<s>", "")))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "[PAD]"})
    )
    return model


def save_tokenizer(path: Path, opening: str, closing: str) -> None:
    names = ["[PAD]", "[CLS]", "[SEP]", "<s>", "</s>", "[UNK]"]
    words = names + [f"w{index}" for index in range(WORDS - len(names))]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    around = [name for name in (opening, closing) if name]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join(name for name in (opening, "$A", closing) if name),
        special_tokens=[(name, vocabulary[name]) for name in around],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def hub_preset(retriever: Path | str, generator: Path | str = "", **changes: Any) -> dict[str, Any]:
    """A preset of the paper's shape for the small models; its image norm has transformers' ε."""
    encoder = {
        "train_words": True,
        "hidden_size": ENCODER["hidden_size"],
        "layers": ENCODER["num_hidden_layers"],
        "heads": ENCODER["num_attention_heads"],
        "intermediate_size": ENCODER["intermediate_size"],
        "query_tokens": QUERIES,
        "image_width": VISION["hidden_size"],
        "vocabulary_size": WORDS,
        "max_positions": ENCODER["max_position_embeddings"],
        "image_norm_eps": 1e-6,
    }
    preset: dict[str, Any] = {
        "name": "small-hub",
        "description": "",
        "vision": {
            "kind": "blip2",
            "source": "blip2",
            "image_size": VISION["image_size"],
            "pad_ratio": 1.25,
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "width": VISION["hidden_size"],
            "tokens": 5,
        },
        "query_encoder": {"source": "blip2", **encoder},
        "generator_query_encoder": {"source": "instructblip", **encoder},
        "tokenizer": {"kind": "wordpiece", "source": "blip2"},
        "language_model": {"kind": "hub", "source": "instructblip", "width": 16, "precision": "fp32"},
        "embedding_size": 7,
        "hub_sources": {"blip2": {"hub": str(retriever)}, "instructblip": {"hub": str(generator)}},
    }
    for key, value in changes.items():
        part, _, name = key.partition("__")
        (preset[part] if name else preset)[name or part] = value
    return preset
