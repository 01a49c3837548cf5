"""A program that serves a gallery on disk with the fake retriever, for tests that stop or kill it.

Usage: `python -m helpers.serve_fake GALLERY UPLOADS SECONDS_PER_TEXT`. It prints its URL, then "embedding" per text.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from helpers.fake_retriever import FakeRetriever
from likebut.gallery.gallery import Gallery
from likebut.server.running import bind, run, url_of
from likebut.server.service import Service
from likebut.server.settings import ServerSettings


class SlowRetriever(FakeRetriever):
    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        print("embedding", flush=True)
        time.sleep(float(sys.argv[3]))
        return super().embed_texts(texts)


def main() -> None:
    gallery, uploads = sys.argv[1:3]
    settings = ServerSettings(port=0, uploads=Path(uploads))
    listening = bind(settings)
    service = Service(Gallery.open(gallery, SlowRetriever()), settings)
    run(service, listening, lambda: print(url_of(listening), flush=True))
    print("closed", flush=True)


if __name__ == "__main__":
    main()
