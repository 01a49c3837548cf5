"""Words that nobody should be shown, whatever a generator writes.

The list is that of the package ``glin-profanity`` (MIT; English), with what ``blocklist.json`` adds (names and signs of
hate movements, which a word list of swearing lacks) and takes out (words and phrases that plainly describe pictures:
"nude" is a colour, "a single strap on the left shoulder" a cut; found by running the list over 75,000 modification
texts of CIRR, FashionIQ, CIRCO and the photographs of clothing).
"""

import json
import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from likebut.errors import InputError
from likebut.files import fingerprint

_LANGUAGE = "english"
_PLURAL = r"(?:s|(?<=[sxz])es|(?<=[cs]h)es)?"


class Blocklist:
    """Finds blocked words and phrases in a text, as whole words, in any case, in singular or plural.

    Args:
        words: Words and phrases.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(sorted({" ".join(word.casefold().split()) for word in words} - {""}))
        longest_first = sorted(self.words, key=len, reverse=True)
        alternatives = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
        # A look-around, not \b: an entry may begin or end with a sign ("a$$").
        self._pattern = re.compile(rf"(?<!\w)(?:{alternatives}){_PLURAL}(?!\w)") if self.words else None

    @classmethod
    def load(cls, own_words: Path | None = None) -> "Blocklist":
        """Return the default list, changed by a file of one's own if there is one.

        Args:
            own_words: A text file with a word or phrase a line; one that begins with "!" takes a word out of the
                list, "#" begins a comment.

        Raises:
            InputError: ``own_words`` is missing or not a text file.
        """
        from glin_profanity.data.dictionary import dictionary

        changes = json.loads((files(__package__) / "blocklist.json").read_text(encoding="utf-8"))
        words = (set(dictionary.get_words(_LANGUAGE)) | set(changes["added"])) - set(changes["allowed"])
        for line in _lines(own_words) if own_words else []:
            if line.startswith("!"):
                words.discard(line[1:].strip().casefold())
            else:
                words.add(line.casefold())
        return cls(words)

    def find(self, text: str) -> str | None:
        """Return the first blocked word or phrase in ``text``, or None."""
        found = self._pattern.search(text.casefold()) if self._pattern else None
        return found[0] if found else None

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ when the list differs."""
        return fingerprint(self.words)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"There is no file {path}.", "Give a text file with a blocked word a line.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Give a text file in UTF-8.") from None
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
