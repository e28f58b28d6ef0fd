"""What `make check` leaves out: the tests that need torch, and no other."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INSIDE = "def test_it():\n    "
PASS = "\ndef test_it(): pass"
FILES = {
    "import torch" + PASS: "skipped",
    "from torch.nn import Linear" + PASS: "skipped",
    "import services.evaluator.harness.stages" + PASS: "skipped",
    INSIDE + "import transformers": "skipped",
    INSIDE + "try:\n        import peft\n    except ImportError:\n        pass": "skipped",
    INSIDE + "import asyncio\n    asyncio.run(asyncio.to_thread(__import__, 'trl'))": "skipped",
    "import archloop.errors" + PASS: "passed",
    INSIDE + "import sys\n    assert 'torch' not in sys.modules": "passed",
    INSIDE + "import scipy.stats": "passed",
    INSIDE + "assert False": "failure",
    INSIDE + "import torch_no_such_module": "failure",
    "import no_such_module" + PASS: "error",
}


@pytest.fixture(scope="module")
def endings(tmp_path_factory):
    """How each of these files ended, all tried by one pytest."""
    folder = tmp_path_factory.mktemp("torchless")
    for place, source in enumerate(FILES):
        (folder / f"test_{place}.py").write_text(source)
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "tests.torchless", "-p", "no:cacheprovider", "-o", "addopts="]
    command += ["--rootdir", folder, "--continue-on-collection-errors", f"--junitxml={report}", folder]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    cases = ET.parse(report).getroot().iter("testcase")
    named = ((case, case.get("classname") or case.get("name")) for case in cases)
    return {name.rpartition(".")[2]: case[0].tag if len(case) else "passed" for case, name in named}


@pytest.mark.parametrize(("place", "ending"), enumerate(FILES.values()), ids=[repr(source) for source in FILES])
def test_only_what_asks_for_torch_is_left_out(endings, place, ending):
    assert endings[f"test_{place}"] == ending
