"""The how-to on data sets, from a folder of images to a score."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import archloop, refusal, shell_of, without_settings
from tests.unit.evaluator.miniature import image_folder
from tests.unit.evaluator.support import GOOD

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/datasets.md"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def workplace(tmp_path):
    """What the how-to takes for granted: images, a network, and the protocol that it shows."""
    image_folder(tmp_path / "images", train=24, test=8, side=40)
    (tmp_path / "net.py").write_text(GOOD.replace("Linear(32", "Linear(8 * 12 * 12"))
    protocol = re.search(r"^```yaml\n(.*?)^```$", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)[1]
    (tmp_path / "leaves.yaml").write_text(protocol)
    return tmp_path


def test_every_command_of_the_how_to_does_what_it_says(workplace):
    env = without_settings() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "ARCHLOOP_EVALUATOR_DATA_DIR": str(workplace / "data"),
    }
    shell = shell_of(HOW_TO)
    result = subprocess.run(shell, cwd=workplace, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    made, listed, scored = result.stdout.splitlines()
    assert made == listed
    assert made.startswith("leaves  96 train + 32 test  3 x 32 x 32  4 classes  sha256 ")
    assert scored.startswith("ok ")
    assert_scored_again_without_the_images(workplace)


def assert_scored_again_without_the_images(workplace):
    files = [workplace / "net.py", "--protocol", workplace / "leaves.yaml"]
    for image in (workplace / "images").rglob("*.png"):
        image.unlink()
    again = archloop("evaluate", *files, "--json", settings={"ARCHLOOP_EVALUATOR_DATA_DIR": workplace / "data"})
    line = json.loads(again.stdout)
    assert (line["outcome"], line["parameters"]) == ("ok", 8 * 27 + 8 + 16 + 8 * 12 * 12 * 4 + 4)
    assert line["accuracy"] > 0.5


def test_a_data_set_that_was_not_prepared_is_one_line_with_the_command(workplace, monkeypatch):
    monkeypatch.setenv("ARCHLOOP_EVALUATOR_DATA_DIR", str(workplace / "data"))
    line = refusal("evaluate", workplace / "net.py", "--protocol", "paper-cifar10")
    assert f"nothing at {workplace}/data/cifar10: `archloop data prepare cifar10` puts it there" in line
