"""A server in a process of its own over a gallery on disk, with the fake retriever: what kill tests kill.

Usage: serve_fake.py GALLERY UPLOADS SECONDS_PER_TEXT. Prints its address, then "embedding" for each text.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.append(str(Path(__file__).parents[1]))

from helpers.fake_retriever import FakeRetriever
from likebut.gallery.gallery import Gallery
from likebut.server.running import bind, run, url_of
from likebut.server.service import Service
from likebut.server.settings import ServerSettings


class SlowRetriever(FakeRetriever):
    seconds = float(sys.argv[3])

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        print("embedding", flush=True)
        time.sleep(self.seconds)
        return super().embed_texts(texts)


settings = ServerSettings(port=0, uploads=Path(sys.argv[2]))
listening = bind(settings)
service = Service(Gallery.open(sys.argv[1], SlowRetriever()), settings)
run(service, listening, lambda: print(url_of(listening), flush=True))
print("closed", flush=True)
