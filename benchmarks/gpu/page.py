"""docs/results/gpu.md from what the parts wrote down."""

import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import PARTS

HEAD = """# On a GPU

By `python -m benchmarks.gpu --out . --data DIR`: ten minutes on one GPU, without a network. Each part is a
process of its own with a time limit; where one fails, its error stands here and the others go on.
[How to run it](../../CONTRIBUTING.md).
"""
NOTHING = """
**Nothing has been measured.** No GPU has been at hand since this command was written: whatever other pages say of GPUs
is by design, and by tests that pretend to have one. The parts, and what each is to show:

{parts}
"""
DRY = """
**A dry run on a CPU, with tiny sizes. None of this is a figure.**
"""
WHAT = {
    "sandbox": "whether CUDA starts in a confined child, known-good networks, tests/gpu and the escape tests on a "
    "GPU's slots, the GPU's memory over 200 candidates in a row",
    "evaluation": "the start of a child until CUDA is ready, an evaluation against a bare loop at 32 and 256 px, "
    "candidates an hour by slots, bfloat16 and channels_last, half the batch after running out of memory",
    "trainer": "tokens a second of LoRA in bfloat16 and of QLoRA in 4 bits, backing off when memory runs out",
    "server": "tokens a second of the model server at 1 and 64 requests, adapters that go live under load",
    "run": "cycles of `archloop run` on CIFAR-10 with everything on the GPU, and the same with a frozen model",
}
Result = Mapping[str, Any]


def page(result: Result, *, dry: bool = False) -> str:
    """Return the page; without any figures it says so."""
    if not result:
        parts = "\n".join(f"- **{part.title}**: {WHAT[name]}." for name, part in PARTS.items())
        return HEAD + NOTHING.format(parts=parts)
    sections = "".join(f"\n{_section(name, result[name])}" for name in PARTS if name in result)
    missing = [part.title for name, part in PARTS.items() if name not in result]
    return HEAD + (DRY if dry else "") + sections + (f"\nNot measured yet: {'; '.join(missing)}.\n" if missing else "")


def rewrite(out: Path) -> None:
    """Write the page again from the JSON below a folder."""
    source = out / "benchmarks/results/gpu.json"
    text = page(json.loads(source.read_text()) if source.exists() else {})
    (out / "docs/results/gpu.md").write_text(text)


def _section(name: str, told: Result) -> str:
    machine = ", ".join(f"{key} {value}" for key, value in told["machine"].items() if value)
    rows = "\n".join(f"| {step} | {_cell(_row(figures))} |" for step, figures in told["steps"].items())
    ended = "" if told["ended"] == "done" else f"**This part {_cell(told['ended'])}.** "
    return (
        f"## {PARTS[name].title}\n\n{ended}{told['seconds']:.0f} s of at most {told['limit_s']}. {_cell(machine)}.\n\n"
        f"| step | seen |\n|---|---|\n{rows}\n"
    )


def _row(figures: Result) -> str:
    if "failed" in figures:
        return f"**failed**: {figures['failed']}"
    if "skipped" in figures:
        return f"not done: {figures['skipped']}"
    seen = "; ".join(f"{name} {value}" for name, value in _flat(figures) if name != "unfinished")
    return f"**did not end**{': ' if seen else ''}{seen}" if figures.get("unfinished") else seen or "nothing"


def _flat(figures: Result, before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in figures.items():
        name = f"{before}{key.replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
            yield name, f"{_number(statistics.median(value))} [{_number(min(value))}–{_number(max(value))}]"
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value)) or "none"
        else:
            yield name, _number(value)


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    """Make a text one cell of a table; errors come from libraries, and may hold anything."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).replace("|", "\\|").split())
