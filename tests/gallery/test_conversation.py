from pathlib import Path

import pytest

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import write_pictures
from likebut.errors import InputError, UnknownImageError
from likebut.gallery.conversation import Conversation
from likebut.gallery.gallery import Gallery
from likebut.gallery.identity import GalleryIdentity
from likebut.gallery.memory_store import MemoryStore
from likebut.gallery.requests import SearchRequest


@pytest.fixture
def conversation(tmp_path: Path) -> Conversation:
    retriever = FakeRetriever()
    gallery = Gallery(MemoryStore(GalleryIdentity.of(retriever)), retriever)
    gallery.add(write_pictures(tmp_path / "photos", range(10)))
    return Conversation(gallery)


def test_refining_an_earlier_step_starts_a_branch(conversation: Conversation) -> None:
    first = conversation.ask(SearchRequest(text="red", negative="blue", k=3, offset=1))
    second = conversation.refine(first.hits[1], "green")
    request = conversation.current.request
    assert request.image_ids == (first.hits[1].id,) and request.text == "green"
    assert (request.k, request.offset, request.negative) == (3, 0, "")
    assert first.hits[1].id not in {hit.id for hit in second.hits}
    assert [step.number for step in conversation.trail] == [0, 1]
    assert conversation.return_to(0) is first
    conversation.refine(first.hits[0].id, "blue", k=2, weight=0.7)
    assert conversation.current.request.weight == 0.7 and len(conversation.current.result.hits) == 2
    assert [step.number for step in conversation.trail] == [0, 2]
    assert [step.parent for step in conversation.steps] == [None, 0, 0]
    assert conversation.return_to(1) is second
    conversation.ask(SearchRequest(text="white"))
    assert [step.number for step in conversation.trail] == [3]


def test_invalid_steps(conversation: Conversation) -> None:
    with pytest.raises(InputError) as error:
        conversation.refine("0" * 64)
    assert error.value.code == "empty-conversation"
    conversation.ask(SearchRequest(text="red"))
    with pytest.raises(UnknownImageError):
        conversation.refine("0" * 64, "green")
    with pytest.raises(InputError) as error:
        conversation.return_to(1)
    assert error.value.code == "unknown-step"
    assert len(conversation.steps) == 1
