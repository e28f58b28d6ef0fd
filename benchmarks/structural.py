"""Is a network the same as an earlier one? Tokens of the source against the graph that runs, on LEMUR and on a run.

    pip download --no-deps nn-dataset==2.1.2 && unzip -q -d lemur nn_dataset-2.1.2-*.whl
    python benchmarks/structural.py lemur lemur/ab/nn/nn --count 2000      # builds each in the sandbox, then judges
    python benchmarks/structural.py demo runs/demo-s0 --protocol shapes    # the valid candidates of a run
    python benchmarks/structural.py page

Networks of LEMUR are drawn from every family of names equally many, and judged in the order of their names' hashes,
those that build for images of the protocol's shape. Verdicts are by comparison with every earlier network. Chosen pairs
go to docs/results/structural/pairs.jsonl, where a reader's `same` and `reason` are kept from one run to the next. What
the sandbox told is in benchmarks/results/structural, from which an interrupted run goes on; `--recorded` judges that.
"""

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from archloop import protocols
from archloop.blobs import programs
from archloop.blobs.directory import DirectoryBlobs
from archloop.ops import logging
from archloop.protocols import Protocol
from benchmarks.lemur import family, read, shares
from benchmarks.structural_judge import Judged, Network, chosen, judged
from benchmarks.structural_page import FOLDER, PAGE, page
from services.evaluator.app import opened_evaluator
from services.evaluator.sandbox.port import Sandbox
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings
from services.evaluator.tracing import traced
from services.registry.records import CandidateQuery
from services.registry.stores.sqlite import SqliteStore

TRACED = Path("benchmarks/results/structural")
Line = dict[str, Any]


def drawn(folder: Path, count: int, seed: int) -> dict[str, str]:
    """Sources by name, the same for the same arguments, in an order that has nothing to do with what they are."""
    strata: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.glob("*.py")):
        strata[family(path.stem)].append(path.stem)
    sizes, rng = shares({name: len(names) for name, names in strata.items()}, count), random.Random(seed)
    names = [name for stratum, all_of in sorted(strata.items()) for name in rng.sample(all_of, sizes[stratum])]
    names.sort(key=lambda name: hashlib.sha256(name.encode()).digest())
    return {name: (folder / f"{name}.py").read_bytes().decode("utf-8", "surrogateescape") for name in names}


async def candidates(run: Path) -> dict[str, str]:
    """The sources of a run's valid candidates, by cycle and index, in their order."""
    store, blobs = SqliteStore(run / "registry.sqlite"), DirectoryBlobs(run / "blobs")
    try:
        page_of = await store.candidates(CandidateQuery())
        found = {}
        for candidate in sorted(page_of.items, key=lambda each: (each.cycle, each.index)):
            source = await store.source(candidate.candidate_id)
            if candidate.evaluation is not None and candidate.evaluation.valid and source is not None:
                found[f"{candidate.cycle}-{candidate.index:02d}"] = await programs.text_of(source.code, blobs)
        return found
    finally:
        await store.close()


async def trace(sources: Mapping[str, str], protocol: Protocol, result: Path) -> None:
    """Append a line for each network that has none yet."""
    result.parent.mkdir(parents=True, exist_ok=True)
    known = read(result)
    async with opened_evaluator(EvaluatorSettings(slots=1, heldout_secret=PUBLISHED)) as evaluator:
        with result.open("a") as out:
            for name in (name for name in sources if name not in known):
                out.write(json.dumps(await _traced(evaluator.sandbox, name, sources[name], protocol)) + "\n")
                out.flush()


async def _traced(sandbox: Sandbox, name: str, code: str, protocol: Protocol) -> Line:
    told = await traced(sandbox, code, protocol)
    measures = told.measures
    return {
        "name": name,
        "outcome": told.outcome,
        "parameters": measures.parameters,
        "graph": measures.graph_sha256,
        "untraced": measures.untraced,
    }


def networks(sources: Mapping[str, str], lines: Mapping[str, Line]) -> Iterator[Network]:
    """Those that were built."""
    for name, source in sources.items():
        if name in lines and lines[name]["outcome"] == "ok":
            yield Network(name, source, lines[name]["graph"])


def record(data: str, all_of: list[Judged], lines: Iterable[Line], protocol: str, kind: Any) -> None:
    """The counts of verdicts, and the pairs, with the labels that there are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "verdicts.json"
    verdicts = json.loads(path.read_text()) if path.exists() else {}
    tried = list(lines)
    built = [line for line in tried if line["outcome"] == "ok"]
    verdicts[data] = {
        "protocol": protocol,
        "commit": _head(),
        "tried": len(tried),
        "networks": len(all_of),
        "without_graph": Counter(line["untraced"] for line in built if line["graph"] is None),
        "verdicts": Counter(f"{each.by_tokens} {each.by_graph}" for each in all_of),
    }
    path.write_text(json.dumps(verdicts, indent=1) + "\n")
    relabel(data, [pair.line(data) for pair in chosen(all_of, kind)])


def _head() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def relabel(data: str, pairs: list[Line]) -> None:
    """Replace this data set's pairs, but keep what a reader said of those that are chosen again."""
    path = FOLDER / "pairs.jsonl"
    old = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    said = {(line["earlier"], line["later"]): line for line in old if line["data"] == data}
    for pair in pairs:
        label = said.get((pair["earlier"], pair["later"]), {})
        pair |= {"same": label.get("same"), "reason": label.get("reason", "")}
    kept = [line for line in old if line["data"] != data]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*kept, *pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["lemur", "demo", "page"])
    parser.add_argument("folder", type=Path, nargs="?", help="ab/nn/nn of the unpacked wheel, or a run's directory")
    parser.add_argument("--protocol", default="shapes32")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recorded", action="store_true", help="build nothing")
    options = parser.parse_args()
    logging.configure(level="WARNING", json=False)
    if options.what != "page":
        lemur, result = options.what == "lemur", TRACED / f"{options.what}.jsonl"
        sources = (
            drawn(options.folder, options.count, options.seed) if lemur else asyncio.run(candidates(options.folder))
        )
        if not options.recorded:
            asyncio.run(trace(sources, protocols.load(options.protocol), result))
        lines = {name: line for name, line in read(result).items() if name in sources}
        found = list(judged(networks(sources, lines)))
        record(options.what, found, lines.values(), options.protocol, family if lemur else lambda _: "")
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
