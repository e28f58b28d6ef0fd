"""What a verdict costs, and whether it is right: the novelty index beside brute force, datasketch's LSH and rensa.

    pip download --no-deps nn-dataset==2.1.2 && unzip -q -d lemur nn_dataset-2.1.2-*.whl
    pip install rensa==0.5.0
    python -m benchmarks.novelty lemur/ab/nn/nn

Each count is measured in a process of its own, on a store in a scratch folder: a start, then decisions on networks
that the store does not have. `exactness` judges a stream greedily and compares every verdict with brute force.
Writes benchmarks/results/novelty.json. Without rensa its rows are left out.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from datasketch import MinHashLSH
from numpy.typing import NDArray
from scipy import sparse

from archloop.contracts.messages import CandidateJudged
from archloop.contracts.values import Family, Verdict
from archloop.ops.process import give_back
from benchmarks.novelty_sets import PERMUTATIONS, Tokens, entries, programs, together
from services.novelty.entries import Entry, ListedEntries
from services.novelty.features import Features
from services.novelty.index import NoveltyIndex
from services.novelty.shingles import Shingles, minhash
from services.novelty.sqlite import SqliteSignatures
from services.novelty.store import Arrival

RESULT = Path("benchmarks/results/novelty.json")
THRESHOLD, SEED, BLOCK = 0.85, 7, 500


def filled(path: Path, source: Iterator[Entry], count: int) -> SqliteSignatures:
    """A store of so many judged entries."""
    store = SqliteSignatures(path)
    with store.transaction():
        for number, entry in enumerate(islice(source, count)):
            described = Features(entry.tokens_sha256, entry.shingles, entry.signature, Family.PLAIN)
            arrival = Arrival(entry.candidate, entry.run_id, 0, number, None, "run", THRESHOLD, described)
            store.record(arrival)
            judged = CandidateJudged(
                run_id=entry.run_id,
                index=number,
                verdict=Verdict.NOVEL,
                similarity=0.0,
                threshold=THRESHOLD,
                family=Family.PLAIN,
            )
            store.settle(entry.candidate, released_by="benchmark", judged=judged)
    return store


def cost(path: Path, decisions: Sequence[Entry]) -> dict[str, Any]:
    """Of one start and so many decisions."""
    store = SqliteSignatures(path)
    before, started, cpu = resident(), time.perf_counter(), time.process_time()
    index = NoveltyIndex(store, PERMUTATIONS)
    index.catch_up()
    start_s, start_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    used = resident() - before
    spent = [timed(lambda entry=entry: index.nearest(entry, threshold=THRESHOLD, run_id=None)) for entry in decisions]
    quantiles = np.percentile(spent, [50, 99, 99.9]).round(3).tolist()
    return {
        "entries": len(index),
        "start_s": round(start_s, 1),
        "start_cpu_s": round(start_cpu_s, 1),
        "bytes_an_entry": round(used / len(index)),
        "peak_bytes_an_entry": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / len(index)),
        "cpu_ms": dict(zip(("p50", "p99", "p99.9"), quantiles, strict=True)),
    }


def exactness(stream: Sequence[Entry]) -> dict[str, Any]:
    """Of a stream judged greedily, one after the other: how often the verdict, and the nearest, are brute force's."""
    listed = ListedEntries()
    index, found = NoveltyIndex(listed, PERMUTATIONS), []
    for entry in stream:
        nearest = index.nearest(entry, threshold=THRESHOLD, run_id=None)
        found.append(0.0 if nearest is None else nearest.similarity)
        index.add(entry)
        listed.append(entry)
    similarities, best = np.array(found), brute_force([entry.shingles for entry in stream])
    return {
        "decisions": len(stream),
        "near_copies": round(float((best >= THRESHOLD).mean()), 3),
        "verdicts_equal": float(((similarities >= THRESHOLD) == (best >= THRESHOLD)).mean()),
        "nearest_within_.02": float((similarities >= best - 0.02).mean()),
    }


def brute_force(sets: Sequence[Shingles]) -> NDArray[np.float64]:
    """Of each set the highest Jaccard similarity to an earlier one, by products of sparse matrices."""
    numbers, begins, distinct = together(sets)
    sizes, best = np.diff(begins), np.zeros(len(sets))
    matrix = sparse.csr_matrix((np.ones(len(numbers), np.int32), numbers, begins), shape=(len(sets), distinct))
    for start in range(0, len(sets), BLOCK):
        block = slice(start, min(start + BLOCK, len(sets)))
        shared = (matrix[block] @ matrix[: block.stop].T).toarray()
        similarity = shared / np.maximum(sizes[block, None] + sizes[None, : block.stop] - shared, 1)
        similarity[np.arange(block.stop)[None, :] >= np.arange(block.start, block.stop)[:, None]] = 0
        best[block] = similarity.max(axis=1)
    return best


def plain_lsh(stream: Sequence[Entry], truth: NDArray[np.bool_]) -> dict[str, Any]:
    """Datasketch's MinHashLSH as it comes: a network is a near copy if it finds a candidate that is estimated one."""
    lsh, sketches = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), []

    def known(number: int) -> bool:
        sketch = minhash(stream[number].shingles, PERMUTATIONS)
        near = any(sketch.jaccard(sketches[other]) >= THRESHOLD for other in lsh.query(sketch))
        lsh.insert(number, sketch)
        sketches.append(sketch)
        return near

    return compared(known, truth)


def by_rensa(stream: Sequence[Entry], truth: NDArray[np.bool_]) -> dict[str, Any] | None:
    """The same with rensa."""
    try:
        import rensa
    except ImportError:
        return None
    lsh = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS, num_bands=16)
    sketches: list[Any] = []

    def known(number: int) -> bool:
        sketch = rensa.RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update([str(shingle) for shingle in stream[number].shingles.tolist()])
        near = any(sketch.jaccard(sketches[other]) >= THRESHOLD for other in lsh.query(sketch))
        lsh.insert(number, sketch)
        sketches.append(sketch)
        return near

    return compared(known, truth)


def compared(known: Callable[[int], bool], truth: NDArray[np.bool_]) -> dict[str, Any]:
    """Cost of a decision with sketching, and how often it is brute force's."""
    give_back()
    before, said = resident(), []
    spent = [timed(lambda number=number: said.append(known(number))) for number in range(len(truth))]
    return {
        "bytes_an_entry": round((resident() - before) / len(truth)),
        "verdicts_equal": float((np.array(said) == truth).mean()),
        "cpu_ms": dict(zip(("p50", "p99"), np.percentile(spent, [50, 99]).round(3).tolist(), strict=True)),
    }


def timed(work: Callable[[], object]) -> float:
    """CPU milliseconds."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--decisions", type=int, default=2_000)
    parser.add_argument("--stream", type=int, default=20_000)
    parser.add_argument("--sources", type=int, help="Only so many files.")
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    known = programs(chosen.folder, chosen.sources)
    if chosen.store:
        # Another seed holds other networks back, so that some families are new to the store.
        print(json.dumps(cost(chosen.store, list(islice(entries(known, SEED + 1), chosen.decisions)))))
        return
    stream = list(islice(entries(known, SEED + 2), chosen.stream))
    truth = brute_force([entry.shingles for entry in stream]) >= THRESHOLD
    result = {
        "exactness": exactness(stream),
        "datasketch": plain_lsh(stream, truth),
        "rensa": by_rensa(stream, truth),
        "costs": [measured(chosen, known, count) for count in chosen.counts],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measured(chosen: argparse.Namespace, known: Sequence[Tokens], count: int) -> dict[str, Any]:
    """Twice: the first start keeps the full blocks that later ones read."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch) / "novelty.sqlite"
        filled(store, entries(known, SEED), count).close()
        command = [sys.executable, "-m", "benchmarks.novelty", str(chosen.folder), "--store", str(store)]
        command += ["--sources", str(chosen.sources)] if chosen.sources else []
        runs = [
            json.loads(subprocess.run([*command, "--decisions", str(number)], check=True, capture_output=True).stdout)
            for number in (1, chosen.decisions)
        ]
        return {**runs[1], "first_start_s": runs[0]["start_s"]}


if __name__ == "__main__":
    main()
