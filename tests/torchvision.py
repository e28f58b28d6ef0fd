"""torchvision for the tests that compare with it.

PyPI's build does not import beside a CPU build of torch, and where it is installed nothing that looks for it works,
transformers for one. So it is never a dependency of the tests' environment: it lies in a folder of its own, and is on
the path only of what needs it, with its missing operators declared.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DECLARE = """
import torch

for name in ("nms", "qnms"):
    torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


@cache
def side() -> Path | None:
    """The folder to put on the path of a process; None where the installed torchvision does. Or skips."""
    as_is = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False)
    return None if as_is.returncode == 0 else _installed()


@contextmanager
def importable() -> Iterator[None]:
    """Inside of the block this process can import torchvision; after it there is no trace of it."""
    path = side()
    if path is None:
        yield
        return
    sys.path.insert(0, str(path))
    sys.modules.update(_modules())
    try:
        yield
    finally:
        sys.path.remove(str(path))
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            _modules()[name] = sys.modules.pop(name)


@cache
def _modules() -> dict[str, ModuleType]:
    """Imported once for all blocks: its operators cannot be described twice."""
    exec(DECLARE, {})
    for name in ("datasets", "transforms.v2"):
        import_module(f"torchvision.{name}")
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}


def _installed() -> Path:
    pinned = re.search(r"^torchvision==\S+$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[0]
    path = ROOT / ".cache" / pinned
    if not path.is_dir():
        path.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as made:
            fresh = Path(made) / pinned
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", fresh, pinned]
            result = subprocess.run(pip, capture_output=True, text=True, check=False)
            if result.returncode:
                _given_up(f"{pinned} cannot be had: {result.stderr.strip()[-300:]}")
            (fresh / "sitecustomize.py").write_text(DECLARE)
            _moved(fresh, path)
    return path


def _given_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _moved(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError:  # another worker was faster
        assert path.is_dir()
