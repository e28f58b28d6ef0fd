"""docs/results/structural.md from the verdicts and the labelled pairs."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

FOLDER, PAGE = Path("docs/results/structural"), Path("docs/results/structural.md")
EXACT = "exact_duplicate"
DATA = {"lemur": "LEMUR", "demo": "demo run"}
Line = dict[str, Any]
TEXT = """# Two looks at a network: its tokens and its graph

The novelty service compares tokens of the source; the evaluator tells a hash of [the graph that
runs](../reference/networks.md#the-graph-that-runs). Does the second look change verdicts, and which is right? By
`benchmarks/structural.py`: each network is built in the sandbox, not trained, and judged against all before it, once
by tokens alone and once with its graph.

{sets}

| by tokens | with the graph | {names} |
|---|---|{dashes}|
{verdicts}

**{changed:,} of {networks:,} verdicts change ({share:.1%}): {found:,} networks are exact duplicates that tokens called
novel or near, and {parted:,} are none that tokens called exact.**

## Who is right

Of {pairs} [pairs](structural/pairs.jsonl) both sources were read and labelled by hand. *Same* are networks that
compute the same with the same trained weights, whatever else their files hold; others are different, be it by one
size. A verdict is right where it says `exact_duplicate` of the same, and does not of different ones.

| by tokens | with the graph | pairs | same | different | tokens right | graph right |
|---|---|---|---|---|---|---|
{labels}
| all | | {pairs} | {same} | {different} | {tokens_right} | {graph_right} |

{reasons}

The pairs are no sample of all decisions: of each kind there are as many as were wanted, the first ones in the order of
judgement, at most twelve of one family of names as long as there are others. Of those that are novel both ways they
are the ones with the likest tokens.

## What it means

- What tokens miss is written and not run: blocks that are built and never called, attributes that nobody reads,
  defaults that every call overrides, a pool to the size that there is. A reader of the source cannot tell in general;
  a pass does.
- What the graph misses, tokens find: near copies. One width changed gives another hash.
- The graph told one of these pairs apart that are the same, by a pool of 1 x 1. That such a pool is nothing is a rule
  since; this was measured before.
- A network without a graph is judged by tokens as before: {without} of these {networks:,}.

{missing}

## What this does not show

- The reader who labelled the pairs knew of which kind they were. Two FractalNets, of which there are many, were called
  the same where their files differ in nothing but one function that is called nowhere, and a list that nobody reads.
- Networks that do not build for images of this shape are left out; so are those that need other packages.
- LEMUR's networks come in families, most of them made by programs; a share of them is no share of what an LLM writes.
"""


def table(rows: Iterable[Sequence[object]]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def kind(line: Line) -> tuple[str, str]:
    return line["by_tokens"], line["by_graph"]


def right(verdict: str, line: Line) -> bool:
    """Whether it says of the same that they are, and of different ones that they are not."""
    return (verdict == EXACT) == line["same"]


def page() -> str:
    """The whole page."""
    verdicts: dict[str, Any] = json.loads((FOLDER / "verdicts.json").read_text())
    lines = [json.loads(line) for line in (FOLDER / "pairs.jsonl").read_text().splitlines()]
    labelled = [line for line in lines if line["same"] is not None]
    counts: Counter[tuple[str, str]] = Counter()
    for data in verdicts.values():
        counts.update({tuple(key.split()): count for key, count in data["verdicts"].items()})  # type: ignore[misc]
    networks, changed = counts.total(), sum(count for (one, other), count in counts.items() if one != other)
    without = Counter[str]()
    for data in verdicts.values():
        without.update(data["without_graph"])
    return TEXT.format(
        sets="\n".join(_set(name, data) for name, data in verdicts.items()),
        names=" | ".join(DATA[name] for name in verdicts),
        dashes="|".join("---" for _ in verdicts),
        verdicts=table(_verdicts(verdicts, counts)),
        changed=changed,
        networks=networks,
        share=changed / networks,
        found=sum(count for (one, other), count in counts.items() if one != other == EXACT),
        parted=sum(count for (one, other), count in counts.items() if other != one == EXACT),
        labels=table(_labels(labelled)),
        reasons=_reasons(labelled),
        without=without.total() or "none",
        missing=_missing(without),
        **_totals(labelled),
    )


def _set(name: str, data: Any) -> str:
    built = f"{data['networks']:,} networks, those of {data['tried']:,} tried that build under `{data['protocol']}`"
    return f"- {DATA[name]}: {built}, judged at commit {data['commit']}."


def _verdicts(verdicts: dict[str, Any], counts: Counter[tuple[str, str]]) -> Iterable[Sequence[object]]:
    for one, other in sorted(counts):
        row = [data["verdicts"].get(f"{one} {other}", 0) for data in verdicts.values()]
        yield [f"`{one}`", f"`{other}`" if one == other else f"**`{other}`**", *row]


def _labels(lines: Sequence[Line]) -> Iterable[Sequence[object]]:
    for each in sorted({kind(line) for line in lines}):
        those = [line for line in lines if kind(line) == each]
        totals = _totals(those)
        yield [f"`{each[0]}`", f"`{each[1]}`", *(totals[name] for name in _COLUMNS)]


_COLUMNS = ("pairs", "same", "different", "tokens_right", "graph_right")


def _totals(lines: Sequence[Line]) -> dict[str, int]:
    count: Callable[[Iterable[bool]], int] = sum
    return {
        "pairs": len(lines),
        "same": count(line["same"] for line in lines),
        "different": count(not line["same"] for line in lines),
        "tokens_right": count(right(line["by_tokens"], line) for line in lines),
        "graph_right": count(right(line["by_graph"], line) for line in lines),
    }


def _reasons(lines: Sequence[Line]) -> str:
    """Why tokens were wrong, the most frequent first."""
    wrong = Counter(line["reason"] for line in lines if not right(line["by_tokens"], line))
    rows = [(count, reason) for reason, count in wrong.most_common()]
    return "Where tokens alone are wrong:\n\n" + table([("pairs", "reason"), ("---", "---"), *rows]) if rows else ""


def _missing(without: Counter[str]) -> str:
    rows = [(count, why) for why, count in without.most_common()]
    return table([("networks", "why there is no graph"), ("---", "---"), *rows]) if rows else ""
