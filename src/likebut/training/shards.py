"""One shard of cached vision tokens: a file of rows, and an index without which the rows do not count."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likebut.errors import InputError
from likebut.files import atomic_path, fingerprint, read_json, write_json
from likebut.training.encoding import EncodedBatch

_FLOAT16_BYTES = 2


class Shard:
    """The rows of one shard, memory-mapped when first read.

    Args:
        path: The shard's rows (``*.bin``).
        contents: Which image content each row is.
        set_aside: Content → reason, for images met while the shard was made that cannot be used.
        tokens: T.
        width: W.
    """

    def __init__(self, path: Path, contents: list[str], set_aside: dict[str, str], tokens: int, width: int) -> None:
        self.path = path
        self.name = path.stem
        self.contents = contents
        self.set_aside = set_aside
        self._shape = (len(contents), tokens, width)

    def rows(self) -> NDArray[np.float16]:
        """Return the (rows, T, W) tokens.

        Raises:
            InputError: Somebody removed the file after the cache was opened.
        """
        return self._rows

    @cached_property
    def _rows(self) -> NDArray[np.float16]:
        try:
            return np.memmap(self.path, dtype=np.float16, mode="r", shape=self._shape)
        except FileNotFoundError:
            raise InputError(
                f"Cached vision tokens are gone while they are needed: there is no file {self.path} any more.",
                "Leave the cache alone while something runs; the same command computes them again and goes on.",
            ) from None

    def is_whole(self) -> bool:
        """Return whether the file of rows has the size that the index says."""
        size = self.path.stat().st_size if self.path.is_file() else -1
        return size == int(np.prod(self._shape)) * _FLOAT16_BYTES


def write_shard(folder: Path, batches: Sequence[EncodedBatch], tokens: int, width: int) -> None:
    """Write ``batches`` as one shard, rows first and index last, so that a kill leaves no index without rows.

    The name depends on the contents alone: written again after a kill, the shard replaces what was left of it.
    """
    contents = [content for batch in batches for content in batch.contents]
    set_aside = {content: reason for batch in batches for content, reason in batch.set_aside.items()}
    name = fingerprint([contents, sorted(set_aside)])
    with atomic_path(folder / f"{name}.bin") as temporary, temporary.open("wb") as handle:
        for batch in batches:
            if batch.tokens.shape[1:] != (tokens, width):
                raise InputError(
                    f"The vision encoder gives tokens of shape {batch.tokens.shape[1:]}, "
                    f"but the feature cache is for {(tokens, width)}.",
                    "Open the cache with the encoder's own sizes.",
                )
            handle.write(np.ascontiguousarray(batch.tokens).tobytes())
    write_json(folder / f"{name}.json", {"contents": contents, "set_aside": set_aside})


def read_shards(folder: Path, tokens: int, width: int) -> Iterator[Shard]:
    """Yield every complete shard in ``folder``, by name."""
    for index in sorted(folder.glob("*.json")):
        if index.name == "identity.json":
            continue
        record = read_json(index)
        shard = Shard(index.with_suffix(".bin"), record["contents"], record["set_aside"], tokens, width)
        if shard.is_whole():
            yield shard
