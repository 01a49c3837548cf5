"""A gallery on disk when processes are killed, and when several use it concurrently."""

import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from helpers.fake_retriever import FakeRetriever
from helpers.pictures_on_disk import write_pictures
from helpers.processes import child_environment, helper_command
from helpers.store_samples import IDENTITY, sample
from likebut.errors import LikebutError
from likebut.gallery import lance_store
from likebut.gallery.gallery import Gallery
from likebut.gallery.lance_store import LanceStore


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = child_environment(OMP_NUM_THREADS="1", LANCE_IO_THREADS="2", LANCE_CPU_THREADS="1")
    command = helper_command("store_worker", *arguments)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_a_kill_loses_no_acknowledged_image(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", range(200))
    process = start("add", tmp_path / "gallery", tmp_path / "photos")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().split()[1] for _ in range(8)]
    time.sleep(0.07)
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.split()[1] for line in process.communicate()[0].splitlines() if len(line.split()) == 2]
    retriever = FakeRetriever()
    gallery = Gallery.open(tmp_path / "gallery", retriever)
    assert gallery.store.ids() >= set(acknowledged)
    there = len(gallery)
    assert {hit.id for hit in gallery.search(text="red", k=200)} == gallery.store.ids()
    gallery.add(tmp_path / "photos")
    assert len(gallery) == 200
    assert retriever.embedded == 200 - there, "images stored before the kill are not encoded again"


def test_killed_indexing_resumes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", range(400))
    process = start("index", tmp_path / "gallery", tmp_path / "photos")
    assert process.stdout is not None and process.stdout.readline() == "begin\n"
    watcher = LanceStore(tmp_path / "gallery")
    deadline = time.monotonic() + 30
    while watcher.count() == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = watcher.count()
    assert there >= 128
    retriever = FakeRetriever()
    gallery = Gallery.open(tmp_path / "gallery", retriever)
    report = gallery.add(tmp_path / "photos")
    assert retriever.embedded == 400 - there == report.added
    assert len(gallery) == 400 and len(gallery.store.files()) == 400


def stress(folder: Path, readers: int, images: int, seconds: float) -> list[int]:
    store = LanceStore(folder / "gallery", IDENTITY)
    store.put([sample(number) for number in range(100)])
    journal = folder / "deleted"
    journal.touch()
    processes = [start("read", folder / "gallery", journal, seconds) for _ in range(readers)]
    writer = start("write", folder / "gallery", journal, images, seconds)
    outputs = [process.communicate(timeout=seconds + 600) for process in (*processes, writer)]
    errors = [error for _, error in outputs if "Traceback" in error]
    assert not errors, errors[0]
    *read, written = [output.split() for output, _ in outputs]
    assert written == ["written", str(images)]
    assert all(words[0] == "searches" for words in read), read
    assert store.count() == 100 + images - 2 * (images // 10)
    return [int(words[1]) for words in read]


def test_readers_and_a_writer(tmp_path: Path) -> None:
    assert min(stress(tmp_path, readers=2, images=100, seconds=3)) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)  # starting nine processes takes minutes on a busy machine
def test_eight_readers_and_a_writer_for_a_minute(tmp_path: Path) -> None:
    assert min(stress(tmp_path, readers=8, images=1000, seconds=60)) > 0


def test_threads_add_the_same_folder(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", range(40))
    galleries = [Gallery.open(tmp_path / "gallery", FakeRetriever()) for _ in range(3)]
    threads = [threading.Thread(target=gallery.add, args=[tmp_path / "photos"]) for gallery in galleries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(galleries[0]) == 40 == len(galleries[0].store.ids())


def test_only_one_process_optimises_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = LanceStore(tmp_path / "gallery", IDENTITY)
    first.put([sample(number) for number in range(5)])
    second = LanceStore(tmp_path / "gallery")
    inside, done, events = threading.Event(), threading.Event(), []

    def train(table: object, tokens: int, trained_with: int) -> int:
        events.append("begin")
        inside.set()
        done.wait(20 if len(events) == 1 else 0)
        events.append("end")
        return 0

    monkeypatch.setattr(lance_store, "train_if_due", train)
    threads = [threading.Thread(target=store.optimise) for store in (first, second)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    second.put([sample(6)])  # writers do not wait for training
    time.sleep(0.3)
    assert events == ["begin"]
    done.set()
    for thread in threads:
        thread.join(20)
    assert events == ["begin", "end", "begin", "end"]


def test_a_failure_of_background_optimisation_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gallery = Gallery.open(tmp_path / "gallery", FakeRetriever())

    def conflict(table: object) -> None:
        raise RuntimeError("lance error: CreateIndex transaction was preempted by Rewrite. Please retry.")

    monkeypatch.setattr(lance_store, "compact", conflict)
    with pytest.raises(LikebutError) as error:
        gallery.optimise()
    assert error.value.code == "concurrent-change"
    gallery.optimise(in_background=True)
    gallery.close()
    assert error.value.problem in caplog.text
