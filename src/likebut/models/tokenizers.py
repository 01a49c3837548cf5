"""Text as the query encoder reads it: token ids with a mask."""

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


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Texts as token ids, padded on the right.

    Attributes:
        ids: (B, L) int64.
        mask: (B, L) int64; 1 where a token is real, 0 where it is padding.
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
    """Turns texts into a :class:`TextBatch`; a text begins with [CLS] and ends with [SEP]."""

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, cut to ``max_length`` tokens and padded to the longest of them."""

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""


_PADDING, _BEGIN, _END = 0, 1, 2
_FIRST_WORD = 3
_WORD = re.compile(r"\w+|[^\w\s]")


class WordPieceTokenizer:
    """BERT's tokenizer, for the query encoder.

    Args:
        path: A ``tokenizer.json`` whose post-processor sets [CLS] and [SEP].

    Attributes:
        vocabulary: Id of every word piece.
        fingerprint: Differs when ids may differ.
    """

    def __init__(self, path: Path) -> None:
        self._tokenizer = _from_file(path)
        # The file's own limits are those of sentence similarity; ours come with each call.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        self.fingerprint = f"wordpiece-{sha256_of(path)[:12]}"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids."""
        return len(self.vocabulary)

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, cut to ``max_length`` tokens and padded to the longest of them."""
        rows = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        return pad_rows(rows, max_length, self.vocabulary["[PAD]"])

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""
        return len(self._tokenizer.encode(text).ids) > max_length


class HashingTokenizer:
    """Words and punctuation hashed to ids: needs no file, knows every word, and confuses a few.

    Args:
        vocabulary_size: Number of ids, special ones included.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self.fingerprint = f"hashing-{fingerprint([vocabulary_size, _WORD.pattern])}"

    def __call__(self, texts: Sequence[str], max_length: int = 32) -> TextBatch:
        """Return ``texts`` as ids, cut to ``max_length`` tokens and padded to the longest of them."""
        rows = [[_BEGIN, *(self._id(word) for word in _WORD.findall(text.lower())), _END] for text in texts]
        return pad_rows(rows, max_length, _PADDING)

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return whether a text has more than ``max_length`` tokens."""
        return len(_WORD.findall(text.lower())) + 2 > max_length

    def _id(self, word: str) -> int:
        return _FIRST_WORD + zlib.crc32(word.encode()) % (self.vocabulary_size - _FIRST_WORD)


class NoTokenizer:
    """Stands for a tokenizer that is elsewhere.

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
            "This model was made without its tokenizer: it takes ids, not texts.",
            "Convert or train it with a preset that names the tokenizer.",
        )

    def is_truncated(self, text: str, max_length: int = 32) -> bool:
        """Return False: no text is read."""
        return False


class ByteTokenizer:
    """Text as UTF-8 bytes, for a language model without a file: ids 0…255, then the end and the padding."""

    end_id = 256
    pad_id = 257

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the bytes of each text, without an end."""
        return [list(text.encode()) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, leaving out the end and padding."""
        return bytes(identifier for identifier in ids if identifier < self.end_id).decode(errors="replace")


class BytePairTokenizer:
    """A language model's tokenizer, from a ``tokenizer.json``.

    Args:
        path: The file.
        end_token: Name of the token that closes a text.
        padding_token: Name of the token that fills a batch.

    Raises:
        InputError: The file knows no such token.
    """

    def __init__(self, path: Path, end_token: str, padding_token: str) -> None:
        self._tokenizer = _from_file(path)
        self.end_id, self.pad_id = (self._special_id(path, token) for token in (end_token, padding_token))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, without special tokens around it."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ``ids``, leaving out special tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def _special_id(self, path: Path, token: str) -> int:
        identifier: int | None = self._tokenizer.token_to_id(token)
        if identifier is None:
            raise InputError(f'{path} knows no token "{token}".', "Mend the preset's end_token or padding_token.")
        return identifier


def _from_file(path: Path) -> TokenizerFile:
    tokenizer = TokenizerFile.from_file(str(path))
    # What a person types is text: "[SEP]" or "<|im_end|>" in it must not become the token of that name.
    tokenizer.encode_special_tokens = True
    return tokenizer


def pad_rows(rows: Sequence[Sequence[int]], max_length: int, padding: int) -> TextBatch:
    """Cut rows of ids to ``max_length``, keeping each one's last id ([SEP]), and pad them to the longest.

    Raises:
        InputError: ``max_length`` leaves no room for the first and the last id.
    """
    if max_length < 2:
        raise InputError(f"max_length is {max_length}.", "Give at least 2: a text has a first and a last token.")
    cut = [list(row) if len(row) <= max_length else [*row[: max_length - 1], row[-1]] for row in rows]
    longest = max((len(row) for row in cut), default=0)
    ids = torch.full((len(cut), longest), padding)
    mask = torch.zeros(len(cut), longest, dtype=torch.int64)
    for index, row in enumerate(cut):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return TextBatch(ids, mask)
