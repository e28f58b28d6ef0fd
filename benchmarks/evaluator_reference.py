"""The reference of `evaluator.py`: nn-dataset's `check_nn` on the same network and images, in its own environment.

`python evaluator_reference.py FOLDER` runs there, on what `evaluator.py` has put into the folder, and must not import
this project. `prepare` makes the environment.
"""

import importlib.metadata
import json
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

RELEASE = "nn-dataset==2.1.2"
NEEDED = ("torchvision", "pylint~=3.3.3", "radon~=6.0.1")  # of what it requires, what `check_nn` imports


def prepare(folder: Path) -> Path:
    """The interpreter of an environment with the reference, made now if it is not there; torch is this project's."""
    python = folder / "env" / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder / "env")], check=True)
        (site,) = (folder / "env").glob("lib/python*/site-packages")
        (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
        torch = f"torch=={importlib.metadata.version('torch')}"
        for wanted in ([torch, *NEEDED], ["--no-deps", RELEASE]):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        (folder / "ready").touch()
    return python


def stand_in(data: Any) -> ModuleType:
    """A data set in the form in which the reference loads CIFAR-10: images through PIL, one at a time."""
    from PIL import Image

    class Images:
        def __init__(self, part: str, transform: Callable[[Any], Any]) -> None:
            self.images, self.labels = data[f"{part}_images"].transpose(0, 2, 3, 1), data[f"{part}_labels"]
            self.transform = transform

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])

    def loader(transform: Callable[[Any], Any], _: str) -> tuple[Any, ...]:
        classes = int(data["train_labels"].max()) + 1
        chosen = transform((tuple(data["mean"].tolist()), tuple(data["std"].tolist())))
        return (classes,), 1 / classes, Images("train", chosen), Images("heldout", chosen)

    module = ModuleType("ab.nn.loader.archloop")
    module.loader = loader  # type: ignore[attr-defined]
    return module


def clocked(module: ModuleType, name: str, seconds: dict[str, float]) -> None:
    """Have the function's time taken whenever it is called."""
    original = getattr(module, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds[name] = time.perf_counter() - began

    setattr(module, name, timed)


def cpu() -> float:
    """Seconds of this process and of those that it has waited for: pylint, and the workers that load images."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def without_statistics() -> None:
    """An empty database: else the first import fills one with all of LEMUR's results, for minutes."""
    database = Path("db", "ab.nn.db")
    database.parent.mkdir(exist_ok=True)
    database.touch()


def measure(folder: Path) -> dict[str, float]:
    import torch

    without_statistics()
    # PyPI's torchvision is built for another torch and then lacks its compiled part; transforms need none of it.
    operators = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        signature = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        operators.define(signature)  # type: ignore[no-untyped-call]
    import numpy as np
    from ab.nn.api import check_nn  # type: ignore[import-not-found]
    from ab.nn.util import CodeEval  # type: ignore[import-not-found]

    sys.modules["ab.nn.loader.archloop"] = stand_in(dict(np.load(folder / "data.npz")))
    task = json.loads((folder / "task.json").read_text())
    prm = task["hyperparameters"] | {"batch": task["batch"], "epoch": task["epochs"], "transform": "norm"}
    seconds: dict[str, float] = {}
    for name in ("run_pylint", "dynamic_evaluation"):
        clocked(CodeEval, name, seconds)
    code, used, began = (folder / "net.py").read_text(), cpu(), time.perf_counter()
    _, accuracy, _, _ = check_nn(code, "img-classification", "archloop", "acc", prm, save_to_db=False)
    return {"wall": time.perf_counter() - began, "cpu": cpu() - used, "accuracy": accuracy, **seconds}


if __name__ == "__main__":
    print("\n" + json.dumps(measure(Path(sys.argv[1]))))
