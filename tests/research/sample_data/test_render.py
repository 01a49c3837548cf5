import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from likebut.research.sample_data.rendering import SIDE, draw_files, draw_png
from likebut.research.sample_data.sample import draw_family


def test_files_are_square_rgb_png_with_stable_bytes(tmp_path: Path) -> None:
    scene = draw_family(Random(0))[0]
    draw_files(tmp_path, {"a/b.png": scene})
    with Image.open(tmp_path / "a" / "b.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIDE, SIDE))
    assert (tmp_path / "a" / "b.png").read_bytes() == draw_png(scene)


def test_existing_files_are_not_drawn_again(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"kept")
    draw_files(tmp_path, {"a.png": draw_family(Random(0))[0]})
    assert (tmp_path / "a.png").read_bytes() == b"kept"


@pytest.mark.slow
def test_two_workers_draw_the_same_bytes_and_end_with_their_parent(tmp_path: Path) -> None:
    code = """if __name__ == "__main__":
        import sys
        from pathlib import Path
        from likebut.research.sample_data.rendering import draw_files
        from likebut.research.sample_data.sample import SampleSettings, draw_all_families
        settings = SampleSettings(train_families=0, val_families=0, test_families=40, pool_families=0)
        scenes = {name: scene for family in draw_all_families(settings)["test"] for name, scene in family.items()}
        draw_files(Path(sys.argv[1]), scenes, int(sys.argv[2]))
    """
    script = tmp_path / "draw.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script, tmp_path / "two", "2"], stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "two").rglob("*.png"))) < 10:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1)
    made = len(list((tmp_path / "two").rglob("*.png")))
    time.sleep(1)
    assert len(list((tmp_path / "two").rglob("*.png"))) == made  # no orphan goes on
    subprocess.run([sys.executable, script, tmp_path / "two", "2"], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([sys.executable, script, tmp_path / "one", "1"], check=True, stderr=subprocess.DEVNULL)
    for path in (tmp_path / "one").rglob("*.png"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
