"""The evaluator and a plain loop that knows nothing of it, side by side: a sample of benchmarks/differential.py.

Other tests assert that LEMUR trains these networks; here a loop like LEMUR's really does.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import differential_page
from benchmarks.differential import PLAIN, Run
from benchmarks.differential_modes import export
from benchmarks.differential_pairs import (
    CRASHED,
    ERROR,
    LIMIT,
    MISSING,
    NOT_FINITE,
    TRAINED,
    Pair,
    difference,
    explanation,
    plain_word,
    read,
)
from services.evaluator.devices import Device
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.integration import lemur_contract
from tests.integration.lemur_contract import HEAD, LOSS, PASS, SGD, changed, forward
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, quadrants

pytestmark = pytest.mark.timeout(300)

# Compiling for real takes the plain loop half a minute each, and a C++ compiler.
LEFT_OUT = ("compiled", "late: hyperparameters as a constant")
ACCEPTED = {name: code for name, code in lemur_contract.TRAINED.items() if not name.startswith(LEFT_OUT)} | {
    f"wilful: {name}": code for name, code in lemur_contract.WILFUL.items()
}
FAILING = {
    "syntax": (ERROR, GOOD.replace("class Net", "clas Net")),
    "unknown name at import": (ERROR, changed(before="undefined")),
    "no Net": (ERROR, GOOD.replace("class Net", "class Model")),
    "unknown hyperparameter": (ERROR, changed((HEAD, f"{HEAD}\n        prm['gamma']"))),
    "wrong width of the head": (ERROR, changed(("nn.Linear(32", "nn.Linear(33"))),
    "a label out of range": (ERROR, changed((LOSS, LOSS.replace("labels)", "labels + 9)")))),
    "an optimizer without parameters": (ERROR, changed((SGD, "torch.optim.SGD([], lr=1)"))),
    "wrong only when it predicts": (ERROR, forward(f"assert self.training\n        {PASS}")),
    "leaves in the middle": (CRASHED, changed((LOSS, "import os; os._exit(3)"))),
    "raises SystemExit": (CRASHED, changed((LOSS, "raise SystemExit"))),
    "a crash in native code": (CRASHED, changed((LOSS, "import ctypes; ctypes.string_at(0)"))),
    "weights that are nan": (NOT_FINITE, changed((SGD, SGD.replace('prm["lr"]', "float('nan')")))),
    "more memory than there is": (LIMIT, changed((HEAD, f"{HEAD}\n        self.t = torch.ones(2**40)"))),
    "never ends": (LIMIT, changed((LOSS, "while True: pass"))),
    "a missing package": (MISSING, changed(before="import torchvision")),
    "a package that this project has": (MISSING, changed(before="from archloop import errors")),
}
DIFFERENT = {
    "output for more classes": ("one number for each class", changed(("out_shape[0])", "9)"))),
    "another exception, later": ("told before", changed((", out_shape[0])", ", 2)"))),
    "hyperparameters without a function": ("is no function", lemur_contract.LATE["hyperparameters as a constant"]),
    "processes": (
        "starts processes",
        changed((LOSS, f"import multiprocessing; multiprocessing.Pool(1).close()\n            {LOSS}")),
    ),
}
ROOMY = TINY.model_copy(
    update={
        "limits": LIMITS.model_copy(update={"memory_bytes": 2**30, "cpu_seconds": 9, "wall_seconds": 90}),
        "dataset": TINY.dataset.model_copy(update={"test": 80}),
    }
)
ROUNDING = 2.5 / 80  # two images: in a batch of another size, classes that are nearly alike change places
EVERY = {
    **ACCEPTED,
    **{name: code for name, (_, code) in FAILING.items()},
    **{name: code for name, (_, code) in DIFFERENT.items()},
}


def written(folder: Path) -> dict[str, Path]:
    """Every network in a file, under a name that files can have."""
    folder.mkdir()
    paths = {name: folder / f"{name.translate(str.maketrans(' :,', '___'))}.py" for name in EVERY}
    for name, path in paths.items():
        path.write_text(EVERY[name])
    return paths


async def compared(run, paths):
    sandbox = ForkServerSandbox([Device.cpu()] * run.workers)
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    await sandbox.start()
    try:
        await run.plain(paths, 0)
        await run.ours(paths, evaluator)
    finally:
        await sandbox.close()
        await evaluator.close()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """All networks through both sides, once."""
    root = tmp_path_factory.mktemp("differential")
    paths, run = written(root / "nets"), Run(ROOMY, root / "batch", workers=2, minutes=5)
    run.folder.mkdir()
    export(ROOMY, quadrants(ROOMY.dataset), run.folder)
    asyncio.run(compared(run, list(paths.values())))
    return run, paths


@pytest.fixture(scope="module")
def pairs(done):
    """By the table's names."""
    run, paths = done
    plain, ours = read(run.folder / "plain-0.jsonl"), read(run.folder / "ours.jsonl")
    keys = {name: f"nets/{path.stem}" for name, path in paths.items()}
    return {name: Pair(name, plain[key], ours.get(key, {})) for name, key in keys.items()}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_plain_loop_trains_the_evaluator_trains_to_the_same_accuracy(pairs, name):
    pair = pairs[name]
    assert plain_word(pair.plain) == TRAINED, pair.plain
    assert difference(pair) is None, pair.ours
    assert pair.ours["accuracy"] == pytest.approx(pair.plain["accuracy"], abs=ROUNDING)
    assert pair.ours["test_accuracy"] == pytest.approx(pair.plain["test_accuracy"], abs=ROUNDING)
    assert pair.plain["accuracy"] > 0.9


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_in_the_plain_loop_fails_in_the_evaluator(pairs, name):
    pair, (word, _) = pairs[name], FAILING[name]
    assert plain_word(pair.plain) == word, pair.plain
    if word == MISSING:
        assert pair.ours == {}
    else:
        assert difference(pair) is None or "told before" in explanation(pair).title, pair


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_by_decision_are_in_the_list(pairs, name):
    assert difference(pairs[name]) is not None
    assert DIFFERENT[name][0] in explanation(pairs[name]).title


WELL = {"stage": "", "output": [4, 10], "classes": 10, "finite": True, "parameters": 7}
FAILED = {"stage": "train", "error": "ValueError", "detail": "no"}


@pytest.mark.parametrize(
    ("plain", "ours", "found"),
    [
        (WELL, {"outcome": "train_error", "stage": "train", "detail": "ValueError: no"}, "trained / error"),
        (WELL, {"outcome": "diverged", "stage": "predict", "detail": ""}, "trained / not finite"),
        (WELL, {"outcome": "timeout", "stage": "train", "detail": ""}, "trained / limit"),
        (WELL, {"outcome": "forbidden", "stage": "train", "detail": "a system call"}, "trained / forbidden"),
        (WELL, {"outcome": "failed", "stage": "", "detail": "no sandbox"}, "trained / failed"),
        (WELL, {"outcome": "ok", "stage": "predict", "detail": "", "parameters": 8}, "another number of parameters"),
        (FAILED, {"outcome": "ok", "stage": "predict", "detail": ""}, "error / trained"),
        (FAILED, {"outcome": "train_error", "stage": "train", "detail": "TypeError: no"}, "another error"),
        (FAILED, {"outcome": "crashed", "stage": "train", "detail": "SIGSEGV"}, "error / crashed"),
        (WELL | {"finite": False}, {"outcome": "ok", "stage": "predict", "detail": ""}, "not finite / trained"),
    ],
)
def test_a_difference_without_a_reason_is_a_fault(plain, ours, found):
    pair = Pair("net", plain, ours)
    assert difference(pair) == found
    assert explanation(pair) is None


def test_what_the_plain_loop_cannot_compile_is_in_the_list():
    plain = FAILED | {"error": "InductorError", "detail": "No module named 'packaging'"}
    assert explanation(Pair("net", plain, {"outcome": "ok", "detail": ""})).title == "torch.compile"


def test_a_run_goes_on_where_it_stopped(done):
    run, paths = done
    log = run.folder / "plain-0.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[1:]))
    asyncio.run(run.plain(list(paths.values()), 0))
    again = log.read_text().splitlines(keepends=True)
    assert again[:-1] == lines[1:]
    assert json.loads(again[-1])["name"] == json.loads(lines[0])["name"]


def test_the_page_tells_what_differs(done, pairs, tmp_path):
    work = tmp_path / "work"
    for mode in ("batch", "epoch"):
        (work / mode).mkdir(parents=True)
        for name in ("plain-0.jsonl", "plain-1.jsonl", "ours.jsonl"):
            text = (done[0].folder / name.replace("1", "0")).read_text()
            (work / mode / name).write_text(
                text.replace('"outcome": "ok"', '"outcome": "forbidden"', name == "ours.jsonl")
            )
    differential_page.write(work, tmp_path)
    page = (tmp_path / differential_page.PAGE).read_text()
    lines = [json.loads(line) for line in (tmp_path / differential_page.RESULT).read_text().splitlines()]
    assert differential_page.UNEXPLAINED in page
    assert len(lines) == 2 * sum(bool(pair.ours) for pair in pairs.values())
    assert [line["mode"] for line in lines if line.get("reason") == "unexplained"] == ["batch", "epoch"]


def test_nothing_is_left_running_when_the_plain_loop_is_stopped(done):
    run, paths = done
    process = subprocess.Popen([sys.executable, PLAIN, run.folder], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"path": str(paths["never ends"]), "seed": 0}).encode() + b"\n")
    process.stdin.flush()
    parent, children = psutil.Process(process.pid), []
    while not children:
        time.sleep(0.05)
        children = parent.children()
    os.kill(process.pid, signal.SIGTERM)
    assert psutil.wait_procs(children, timeout=5)[1] == []
    process.wait(5)
