"""`python -m benchmarks.gpu --out DIR [--only sandbox run] [--dry] [--minutes 10]`: the proof on a GPU.

Writes benchmarks/results/gpu.json and docs/results/gpu.md below DIR; parts that are not run keep what they were. It
needs a GPU, a torch that can use it, and no network. `--dry` does all of it on the CPU, tiny, to find typing errors:
its files are gpu-dry.json and gpu-dry.md, and nothing in them is a figure.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from archloop.ops import logging
from benchmarks.gpu import collector, machine, page
from benchmarks.gpu.given import Given
from benchmarks.gpu.parts import PARTS


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: some of {', '.join(PARTS)}, with commas between")
    return [name for name in PARTS if name in names]


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder below which the files are written")
    parser.add_argument("--only", type=_names, default=list(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--dry", action="store_true", help="on the CPU, tiny")
    parser.add_argument("--minutes", type=float, default=10.0, help="for all parts together")
    parser.add_argument("--gpu", default="0", help="index or UUID")
    parser.add_argument("--data", type=Path, help="CIFAR-10: {train,test}/CLASS/* or a .tar.gz of them; else synthetic")
    parser.add_argument("--model", help="folder of a pretrained model; else random weights of SmolLM2-135M's shape")
    parser.add_argument("--steps", default="", help="of the parts only the steps whose names this pattern finds")
    parser.add_argument("--log", type=Path, help="folder for what the parts print")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60.0, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.out is None and not chosen.part:
        if chosen.dry:
            parser.error("--dry needs --out: it writes nothing into the project")
        chosen.out = Path()
    for name in ("data", "log", "out"):
        if getattr(chosen, name) is not None:
            setattr(chosen, name, getattr(chosen, name).resolve())
    return chosen


def main() -> None:
    chosen = options()
    if chosen.part:
        part(chosen)
    elif chosen.page:
        page.rewrite(chosen.out)
    else:
        collector.collect(chosen, machine.described(chosen.gpu, dry=chosen.dry))
        print(collector.Targets.of(chosen.out, dry=chosen.dry).page.read_text())


def part(chosen: argparse.Namespace) -> None:
    logging.configure(level="WARNING", json=False)
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        given = Given(
            chosen.dry, chosen.gpu, chosen.seconds, Path(folder), chosen.answer, chosen.data, chosen.model, chosen.steps
        )  # fmt: skip
        asyncio.run(PARTS[chosen.part].measure()(given))


if __name__ == "__main__":
    main()
