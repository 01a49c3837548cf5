"""Tokenizers of the query encoder and of language models without transformers."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from tokenizers import Tokenizer as TokenizerFile
from torch import Tensor

from likebut.errors import InputError
from likebut.files import fingerprint, sha256_of

_PADDING, _BEGIN, _END = 0, 1, 2
_FIRST_WORD = 3
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Texts as token ids, padded on the right.

    Attributes:
        ids: (B, L) int64.
        mask: (B, L) int64; 1 for a token, 0 for padding.
    """

    ids: Tensor
    mask: Tensor

    def to(self, device: torch.device | str) -> "TextBatch":
        """Return the batch on ``device``."""
        return TextBatch(self.ids.to(device), self.mask.to(device))

    def __len__(self) -> int:
        """Return B."""
        return self.ids.shape[0]


class Tokenizer(Protocol):
    """Converts texts to a :class:`TextBatch`; a text starts with [CLS] and ends with [SEP]."""

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, truncated to ``max_length`` tokens and padded to the longest."""

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""


class WordPieceTokenizer:
    """BERT's WordPiece tokenizer.

    Args:
        path: A ``tokenizer.json`` whose post-processor adds [CLS] and [SEP].

    Attributes:
        vocabulary: Word piece → id.
        fingerprint: Differs when ids may differ.
    """

    def __init__(self, path: Path) -> None:
        self._tokenizer = _from_file(path)
        # The limits in the file are those of sentence similarity; each call has its own.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        self.fingerprint = f"wordpiece-{sha256_of(path)[:12]}"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return len(self.vocabulary)

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, truncated to ``max_length`` tokens and padded to the longest."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        return pad_rows(rows, max_length, self.vocabulary["[PAD]"])

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""
        return len(self._tokenizer.encode(text).ids) > max_length


class HashingTokenizer:
    """Hashes words and punctuation to ids: needs no file and has no unknown words, but collisions.

    Args:
        vocabulary_size: Number of ids, including special ones.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.fingerprint = f"hashing-{fingerprint([vocabulary_size, _WORD.pattern])}"

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, truncated to ``max_length`` tokens and padded to the longest."""
        rows = [[_BEGIN, *(self._id(word) for word in _WORD.findall(text.lower())), _END] for text in texts]
        return pad_rows(rows, max_length, _PADDING)

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""
        return len(_WORD.findall(text.lower())) + 2 > max_length

    def _id(self, word: str) -> int:
        return _FIRST_WORD + zlib.crc32(word.encode()) % (self.vocabulary_size - _FIRST_WORD)


class NoTokenizer:
    """Placeholder in a model that was saved without a tokenizer; it refuses texts.

    Args:
        vocabulary_size: Number of ids.
    """

    fingerprint = "none"

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Refuse.

        Raises:
            InputError: Always.
        """
        raise InputError(
            "This model has no tokenizer: it takes ids, not texts.",
            "Convert or train it with a preset that has a tokenizer.",
            code="no-tokenizer",
        )

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return False: no text is read."""
        return False


class ByteTokenizer:
    """UTF-8 bytes as ids 0…255, followed by end and padding; needs no file."""

    end_id = 256
    pad_id = 257

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the bytes of each text, without the end token."""
        return [list(text.encode()) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, without end and padding."""
        return bytes(identifier for identifier in ids if identifier < self.end_id).decode(errors="replace")


class BytePairTokenizer:
    """A language model's byte-pair tokenizer from a ``tokenizer.json``.

    Args:
        path: The file.
        end_token: The end-of-text token.
        padding_token: The padding token.

    Raises:
        InputError: The vocabulary lacks one of the tokens.
    """

    def __init__(self, path: Path, end_token: str, padding_token: str) -> None:
        self._tokenizer = _from_file(path)
        self.end_id, self.pad_id = (self._special_id(path, token) for token in (end_token, padding_token))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, without special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _special_id(self, path: Path, token: str) -> int:
        identifier: int | None = self._tokenizer.token_to_id(token)
        if identifier is None:
            raise InputError(f'{path} has no token "{token}".', "Fix end_token or padding_token in the preset.")
        return identifier


def _from_file(path: Path) -> TokenizerFile:
    tokenizer = TokenizerFile.from_file(str(path))
    # User input must not inject special tokens by containing "[SEP]" or "<|im_end|>".
    tokenizer.encode_special_tokens = True
    return tokenizer


def pad_rows(rows: Sequence[Sequence[int]], max_length: int, padding: int) -> TextBatch:
    """Truncate rows of ids to ``max_length``, keeping the last id ([SEP]), and pad them to the longest.

    Raises:
        InputError: ``max_length`` is less than 2.
    """
    if max_length < 2:
        raise InputError(f"max_length is {max_length}.", "Use at least 2: a text has a first and a last token.")
    cut = [list(row) if len(row) <= max_length else [*row[: max_length - 1], row[-1]] for row in rows]
    longest = max((len(row) for row in cut), default=0)
    ids = torch.full((len(cut), longest), padding)
    mask = torch.zeros(len(cut), longest, dtype=torch.int64)
    for index, row in enumerate(cut):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return TextBatch(ids, mask)
