"""docs/reference/system-calls.md says what the filter does: every call once, with the arguments that are allowed."""

import re
from pathlib import Path

from services.evaluator.sandbox import calls, gpu, seccomp
from services.evaluator.sandbox.calls import Bits, Masked, Only

PAGE = Path(__file__).parents[3] / "docs/reference/system-calls.md"


def test_the_page_lists_every_allowed_call_once_with_its_arguments():
    everywhere = dict.fromkeys(seccomp.whole().split(), "any")
    for name, ways in seccomp.some().items():
        everywhere[name] = words(ways)
    on_gpu = dict.fromkeys(gpu.WHOLE.split(), "any") | {name: words(ways) for name, ways in gpu.SOME.items()}
    before, after = text().split("## On a GPU as well")
    assert allowed(before) == everywhere
    assert allowed(after.partition("## Answered")[0]) == on_gpu


def test_the_page_lists_what_is_answered_and_what_kills():
    answered, kills = text().split("## Answered without being done")[1].split("## What ends the process")
    assert names(answered) - {"shutil.copy", "clone"} == {
        *calls.PRETENDED.split(),
        *calls.UNSUPPORTED.split(),
        "clone3",
    }
    assert names(kills.partition("##")[0]) - {"forbidden"} == set(calls.ATTACKS.split())


def test_what_the_page_calls_denied_is_denied():
    denied = [row[0] for row in rows(text().partition("## Denied")[2])]
    listed = {name for cell in denied for name in names(cell)}
    assert len(listed) > 20
    assert not listed & (set(seccomp.whole().split()) | set(seccomp.some()))


def text() -> str:
    return PAGE.read_text()


def names(part: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", part))


def rows(part: str) -> list[list[str]]:
    """The cells of the rows of its tables, without heads."""
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line] for line in lines]


def allowed(part: str) -> dict[str, object]:
    """Each call of the tables, with the arguments that the page names."""
    found = [(name, cell) for calls_cell, cell, *_ in rows(part) for name in re.findall(r"`([^`]+)`", calls_cell)]
    assert len(found) == len({name for name, _ in found}), "a call in two rows"
    return {name: "any" if cell.startswith("any") else frozenset(said(cell)) for name, cell in found}


def said(cell: str) -> set[str]:
    """The arguments in a cell, without the remark on a level after the semicolon."""
    part = cell.partition(";")[0]
    return set(re.findall(r"(?:type )?`[^`]+`|below \d+|its own number", part))


def words(ways) -> frozenset[str]:
    """How the page names the arguments."""
    named = set()
    for condition in (condition for way in ways for condition in way):
        match condition:
            case Only(values=values) | Bits(values=values):
                named |= {f"`{word}`" for name in values for word in name.split(" | ")}
            case Masked(name=name):
                named.add(name)
            case _:
                named.add("its own number")
    return frozenset(named)
