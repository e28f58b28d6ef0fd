"""What it costs to normalise a source, beside Python's own parser: of sources from all over LEMUR, each by itself.

    python -m benchmarks.novelty_normalising lemur/ab/nn/nn

For where the sources come from see `benchmarks.novelty`. Each figure is the least of four.
"""

import argparse
import ast
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from services.novelty.normalise import normalise

TIMES = 4


def normalising(folder: Path, count: int) -> dict[str, Any]:
    """Mean and median over about so many sources, in milliseconds of CPU."""
    paths = sorted(folder.glob("*.py"))
    sources = [path.read_bytes().decode("utf-8", "surrogateescape") for path in paths[:: max(1, len(paths) // count)]]
    spent = np.array(
        [[least(work, source) for work in (normalise, ast.parse)] for source in sources if readable(source)]
    )
    whole, parser = spent.T
    return {
        "sources": len(spent),
        "cpu_ms": {"mean": round(float(whole.mean()), 3), "median": round(float(np.median(whole)), 3)},
        "parser_cpu_ms": {"mean": round(float(parser.mean()), 3), "median": round(float(np.median(parser)), 3)},
        "within_2_ms": round(float((whole <= 2).mean()), 3),
    }


def least(work: Callable[[str], object], source: str) -> float:
    """Milliseconds of CPU, the least of several."""
    spent = []
    for _ in range(TIMES):
        started = time.process_time()
        work(source)
        spent.append((time.process_time() - started) * 1000)
    return min(spent)


def readable(source: str) -> bool:
    """Say whether a source is Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    chosen = parser.parse_args()
    print(json.dumps(normalising(chosen.folder, chosen.count), indent=1))


if __name__ == "__main__":
    main()
