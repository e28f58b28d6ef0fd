"""The sandbox with CUDA in the child: does it start, does it hold, does it leave anything behind."""

import asyncio
import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

from archloop.protocols import Protocol
from benchmarks.gpu import machine
from benchmarks.gpu.bench import SECRET, Bench, cifar
from benchmarks.gpu.given import Figures, Given, command
from benchmarks.gpu.ladder import climbed
from benchmarks.leaks import BAD, Trial, names
from services.evaluator.evaluator import Evaluator
from services.evaluator.sandbox.client import ForkServerSandbox
from tests.known_good import SOURCES
from tests.unit.evaluator.support import GOOD, LIMITS, TINY, quadrants

# CUDA takes a second of the CPU's time and hundreds of MiB of the machine's memory before a network has any.
ON_GPU = {"cpu_seconds": 8.0, "wall_seconds": 12.0}
_SCORE = ("test_answers", "test_forgery", "test_counts")
_HEALTH = ("test_bounds", "test_processes", "test_resources", "test_lifecycle")
_TOLD_FAILURES = 12


async def measure(given: Given) -> None:
    await given.step("CUDA in a child", partial(_starts, given))
    await given.step("known-good networks", partial(_known_good, given))
    await given.step("tests/gpu", partial(_tests, given, "tests/gpu", require=True))
    await given.step("candidates in a row", partial(_row, given, given.few(6, 200)))
    await given.step("what a score is made of", partial(_escape, given, _SCORE))
    await given.step("what the machine lives on", partial(_escape, given, _HEALTH))
    await given.step("every level of the sandbox", partial(_tests, given, "tests/contract/test_sandbox.py"))


def tiny(given: Given) -> Protocol:
    """The protocol of the tests, with what CUDA needs before the network does anything."""
    limits = LIMITS.model_copy(update={} if given.dry else ON_GPU)
    return TINY.model_copy(update={"limits": limits})


async def _starts(given: Given) -> Figures:
    """Try the smallest network; where it fails, find out which wall CUDA stumbles over."""
    async with Bench.of(given) as bench:
        bench.evaluator.load = quadrants
        told = await bench.evaluator.evaluate(GOOD, tiny(given))
    figures: Figures = {"outcome": told.outcome, "level": told.sandbox_level, "accuracy": told.accuracy}
    if told.outcome != "ok" or given.dry:
        figures["stumbles"] = await asyncio.to_thread(climbed, given)
    return figures | {"stage": told.stage, "detail": told.detail, "seconds": told.stage_seconds}


async def _known_good(given: Given) -> Figures:
    """Score five networks, plainly and by the protocol's precision and memory format."""
    given = replace(given, data=None)
    plain = cifar(given, train=given.few(64, 10_000), precision=None, memory_format=None)
    asked = plain.model_copy(update={"precision": "bfloat16", "memory_format": "channels_last"})
    wanted = itertools.product(list(SOURCES)[: given.few(1, 5)], {"float32": plain, "bfloat16": asked}.items())
    figures: Figures = {}
    async with Bench.of(given) as bench:
        for name, (condition, protocol) in wanted:
            told = await bench.evaluator.evaluate(SOURCES[name], protocol)
            figures[f"{name}, {condition}"] = f"{told.outcome} {told.accuracy} {told.detail}".strip()
    return figures


async def _row(given: Given, count: int) -> Figures:
    """Let candidates of every kind, good and bad, follow one another, and see what the GPU still holds."""
    sandbox = ForkServerSandbox([given.device] * 2)
    evaluator = Evaluator(sandbox, quadrants, SECRET, memory_fraction=0.5)
    trial = Trial(evaluator, sandbox, tiny(given))
    used = [machine.used_mib(given.gpu)]
    try:
        await sandbox.start()
        order = names(count)
        for first in range(0, count, 20):
            await asyncio.gather(*map(trial.evaluate, order[first : first + 20]))
            used.append(machine.used_mib(given.gpu))
            given.note("candidates in a row", done=min(first + 20, count), gpu_mib=[u for u in used if u is not None])
    finally:
        await sandbox.close()
        await trial.evaluator.close()
    bad = {name: dict(outcomes) for name, outcomes in trial.outcomes.items() if name in BAD and "ok" in outcomes}
    return {
        "good": dict(trial.outcomes.get("good", {})),
        "different answers of the good": len(trial.good),
        "bad that were ok": bad,
        "failures of the sandbox": trial.failures[:5],
        "gpu mib after closing": machine.used_mib(given.gpu),
    }


async def _escape(given: Given, files: tuple[str, ...]) -> Figures:
    chosen = files[:1] if given.dry else files
    return await _tests(given, *(f"tests/escape/{name}.py" for name in chosen), dry=("-k", "scored or descriptors_end"))


async def _tests(given: Given, *paths: str, require: bool = False, dry: tuple[str, ...] = ()) -> Figures:
    """Run tests on the GPU's slots; dry, a few of them on the CPU's."""
    if given.dry and "contract" in paths[0]:
        dry = ("-k", "namespaces and crash")
    report = given.folder / "report.xml"
    how = dry if given.dry else ("--gpu", given.gpu)
    needs = {"ARCHLOOP_REQUIRE_GPU": "1"} if require and not given.dry else {}
    where = ("--junitxml", report, "--basetemp", given.folder / "pytest-of-gpu")
    await command("-m", "pytest", "-q", "-p", "no:cacheprovider", *where, *how, *paths, check=False, **needs)
    return summary(report)


def summary(report: Path) -> Figures:
    """Return how many passed, and the first lines of what failed, from pytest's JUnit file.

    Raises RuntimeError where there is none: a choice that finds nothing would look like success.
    """
    cases = list(ET.parse(report).iter("testcase"))
    if not cases:
        raise RuntimeError("no test was run")
    failed = [
        f"{case.get('name')}: {(part.get('message') or '').splitlines()[0][:160] if part.get('message') else part.tag}"
        for case in cases
        for part in case
        if part.tag in ("failure", "error")
    ]
    skipped = sum(part.tag == "skipped" for case in cases for part in case)
    return {
        "passed": len(cases) - len(failed) - skipped,
        "failed tests": len(failed),
        "skipped tests": skipped,
        "which": failed[:_TOLD_FAILURES],
    }
