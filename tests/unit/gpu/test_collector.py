"""The command that proves things on a GPU, without one: parts that fail, and dry runs that are no figures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import __main__ as entry
from benchmarks.gpu import collector, machine, page
from benchmarks.gpu.given import Given, first_line
from benchmarks.gpu.parts import PARTS

ROOT = Path(__file__).parents[3]
MACHINE = {"device": "NVIDIA H100", "driver": "580.1", "cores": 16, "trl": None}
FIGURES = {
    "machine": MACHINE,
    "ended": "done",
    "seconds": 12.0,
    "limit_s": 60,
    "steps": {"start": {"s": [1.0, 3.0, 2.0]}},
}

# What a part's process does, and how it is said to have ended; each has written one figure by then.
PROCESSES = {
    "ends well": ("", "done", 30),
    "raises": ("raise ValueError('first\\nsecond')", "failed with status 1: second", 30),
    "ends with a status": ("sys.exit(7)", "failed with status 7: said", 30),
    "is killed": ("os.kill(os.getpid(), 9)", "failed with status -9: said", 30),
    "takes too long": ("time.sleep(600)", "stopped at its time limit", 1),
    "leaves others running": ("subprocess.Popen(['sleep', '600'])", "done", 30),
    "deafens itself to signals": ("signal.signal(15, signal.SIG_IGN); time.sleep(600)", "stopped at its time limit", 1),
    "writes half a line": ("open(sys.argv[1], 'a').write('{\"step\": ')", "done", 30),
}


@pytest.fixture
def options(tmp_path):
    return entry.options(["--out", str(tmp_path), "--minutes", "1"])


def process(monkeypatch, statements: str) -> None:
    """Put these statements in place of every part."""
    code = (
        "import json, os, signal, subprocess, sys, time\n"
        "open(sys.argv[1], 'a').write(json.dumps({'step': 'first', 'kept': 1}) + '\\n')\n"
        f"print('said', flush=True)\n{statements}"
    )
    monkeypatch.setattr(collector, "_GRACE_S", 0.0)
    monkeypatch.setattr(collector, "command", lambda name, answer, *_: [sys.executable, "-c", code, str(answer)])


@pytest.mark.parametrize(("statements", "ended", "seconds"), PROCESSES.values(), ids=PROCESSES)
def test_how_a_part_ended_is_said_and_its_figures_stay(monkeypatch, options, statements, ended, seconds):
    process(monkeypatch, statements)
    told = collector.run("sandbox", seconds, options)
    assert told["ended"] == ended
    assert told["steps"].get("first", {}).get("kept", 1 if seconds == 1 else None) == 1


def test_the_parts_after_one_that_fails_are_run(monkeypatch, options):
    process(monkeypatch, "raise SystemExit('it broke')")
    told = collector.collect(options, MACHINE)
    assert list(told) == list(PARTS)
    text = (options.out / collector.PAGE).read_text()
    assert text.count("it broke") == len(PARTS)
    assert json.loads((options.out / collector.RESULT).read_text()) == told


def test_what_is_not_run_again_keeps_its_figures(monkeypatch, options):
    collector.write(collector.Targets.of(options.out, dry=False), {"trainer": FIGURES, "run": FIGURES}, dry=False)
    process(monkeypatch, "")
    options.only = ["run"]
    told = collector.collect(options, MACHINE)
    assert told["trainer"] == FIGURES
    assert told["run"]["steps"] == {"first": {"kept": 1}}


def test_a_step_that_is_done_again_leaves_the_others(monkeypatch, options):
    collector.write(collector.Targets.of(options.out, dry=False), {"run": FIGURES}, dry=False)
    process(monkeypatch, "")
    options.only, options.steps = ["run"], "first"
    assert collector.collect(options, MACHINE)["run"]["steps"] == {**FIGURES["steps"], "first": {"kept": 1}}


def test_a_dry_run_leaves_a_gpus_figures_alone(monkeypatch, options):
    targets = collector.Targets.of(options.out, dry=False)
    collector.write(targets, {"trainer": FIGURES}, dry=False)
    before = [path.read_bytes() for path in targets]
    process(monkeypatch, "")
    options.dry = True
    collector.collect(options, MACHINE)
    assert [path.read_bytes() for path in targets] == before
    assert "None of this is a figure" in (options.out / collector.DRY_PAGE).read_text()


def test_a_dry_run_writes_nothing_into_the_project(capsys):
    with pytest.raises(SystemExit):
        entry.options(["--dry"])
    assert "--dry needs --out" in capsys.readouterr().err


@pytest.mark.parametrize("only", ["", ",", "gpu", "sandbox,gpu", "Sandbox", "sandbox;run"])
def test_a_part_that_is_not_is_answered_with_those_that_are(capsys, only):
    with pytest.raises(SystemExit):
        entry.options(["--only", only])
    assert f"some of {', '.join(PARTS)}" in capsys.readouterr().err


@pytest.mark.parametrize("only", ["run,sandbox", "sandbox,run", "server", "trainer,evaluation,server"])
def test_the_most_important_part_is_first_however_they_are_named(only):
    chosen = entry.options(["--only", only]).only
    assert chosen == [name for name in PARTS if name in only.split(",")]


@pytest.mark.parametrize(
    ("name", "dry", "seen"),
    [("sandbox", False, "3"), ("trainer", False, "3"), ("run", False, None), ("run", True, ""), ("server", True, "")],
)
def test_a_part_sees_its_gpu_and_none_of_our_settings(monkeypatch, options, name, dry, seen):
    monkeypatch.setenv("ARCHLOOP_EVALUATOR_SLOTS", "9")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    options.gpu, options.dry = "3", dry
    given = collector.environment(name, options)
    assert given.get("CUDA_VISIBLE_DEVICES") == seen
    assert given["HF_HUB_OFFLINE"] == "1"
    assert not [setting for setting in given if setting.startswith("ARCHLOOP_")]


@pytest.mark.parametrize("first", range(len(PARTS)))
def test_time_that_is_left_over_goes_to_the_parts_after(first):
    names = list(PARTS)[first:]
    assert collector.share(names, 600) == pytest.approx(
        600 * PARTS[names[0]].share / sum(PARTS[n].share for n in names)
    )
    assert collector.share(names[-1:], 600) == 600
    assert collector.share(names, -5) == 0


def test_every_part_is_there_and_is_described():
    for part in PARTS.values():
        source = (ROOT / f"{part.module.replace('.', '/')}.py").read_text()
        assert "async def measure(given: Given) -> None:" in source
    assert page.WHAT.keys() == PARTS.keys()
    assert sum(part.share for part in PARTS.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("figures", "cell"),
    [
        ({"s": [1.0, 3.0, 2.0]}, "s 2 [1–3]"),
        ({"tokens_a_second": 12345.678}, "tokens a second 12,346"),
        ({"answers": {"right": 5, "wrong": 0}}, "answers, right 5; answers, wrong 0"),
        ({"failed": "ValueError: a | b"}, "**failed**: ValueError: a \\| b"),
        ({"skipped": "no time left"}, "not done: no time left"),
        ({"which": ["one", "two"]}, "which one, two"),
        ({"which": []}, "which none"),
        ({"detail": "two\nlines\x1b[31m"}, "detail two lines [31m"),
        ({}, "nothing"),
        ({"unfinished": True}, "**did not end**"),
        ({"unfinished": True, "done": 20}, "**did not end**: done 20"),
    ],
)
def test_a_row_of_the_page(figures, cell):
    text = page.page({"trainer": {**FIGURES, "steps": {"step": figures}}})
    assert f"| step | {cell} |\n" in text


def test_the_page_names_the_machine_and_what_is_missing():
    text = page.page({"trainer": FIGURES})
    assert "device NVIDIA H100, driver 580.1, cores 16." in text
    assert "trl None" not in text
    assert all(part.title in text.partition("Not measured yet")[2] for name, part in PARTS.items() if name != "trainer")


def test_the_committed_page_is_that_of_the_committed_figures():
    path = ROOT / collector.RESULT
    told = json.loads(path.read_text()) if path.exists() else {}
    assert (ROOT / collector.PAGE).read_text() == page.page(told)
    assert ("Nothing has been measured" in page.page(told)) == (not told)


async def test_a_step_that_fails_is_written_down_and_the_next_is_done(tmp_path):
    async def fails():
        raise ValueError("the first\nthe second")

    async def works():
        return {"good": 1}

    given = Given(True, "0", 60.0, tmp_path, tmp_path / "answer")
    await given.step("one", fails)
    await given.step("two", works)
    late = Given(True, "0", 0.0, tmp_path, tmp_path / "answer")
    await late.step("three", works)
    told = collector.gathered((tmp_path / "answer").read_text())
    assert told["one"]["failed"] == "ValueError: the first"
    assert told["two"]["good"] == 1
    assert told["three"] == {"skipped": "no time left"}


async def test_a_step_that_does_not_end_is_named_with_what_it_had(tmp_path):
    given = Given(True, "0", 60.0, tmp_path, tmp_path / "answer")

    async def stopped():
        given.note("long", done=20)
        raise KeyboardInterrupt  # as when the process is killed: nothing after it is written

    with pytest.raises(KeyboardInterrupt):
        await given.step("long", stopped)
    assert collector.gathered((tmp_path / "answer").read_text()) == {"long": {"unfinished": True, "done": 20}}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nb"), "ValueError: a"),
        (RuntimeError(), "RuntimeError"),
        (KeyError("x"), "KeyError: 'x'"),
        (TimeoutError(), "TimeoutError"),
        (OSError(2, "gone"), "OSError: [Errno 2] gone"),
    ],
)
def test_an_error_is_one_line(error, line):
    assert first_line(error) in (line, line.replace("OSError", "FileNotFoundError"))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_some_steps_done_dry(tmp_path):
    only = ["--only", "sandbox,evaluation", "--steps", "CUDA in a child|start of a child|out of memory"]
    command = [sys.executable, "-m", "benchmarks.gpu", "--dry", "--out", tmp_path, "--minutes", "4", *only]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / collector.DRY_RESULT).read_text())
    steps = {name: figures for part in told.values() for name, figures in part["steps"].items()}
    assert steps.keys() == {"CUDA in a child", "start of a child", "out of memory"}
    assert not [figures for figures in steps.values() if "failed" in figures], steps
    assert set(steps["CUDA in a child"]["stumbles"].values()) == {"ok"}
    assert steps["out of memory"]["batch"] == 16
    assert steps["out of memory"]["outcome"] in ("ok", "below_chance"), "so few steps may teach it nothing"


def test_without_a_gpu_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(machine, "absent", lambda: "none here")
    with pytest.raises(SystemExit, match="no GPU to measure: none here"):
        machine.described("0", dry=False)
    assert machine.described("0", dry=True)["torch"]
