"""Does the evaluator treat a network as LEMUR would? Each goes through a plain loop and through the sandbox.

    pip download --no-deps nn-dataset==2.1.2 && unzip -q -d lemur nn_dataset-2.1.2-*.whl
    python benchmarks/differential.py lemur/ab/nn/nn --work differential --mode batch
    python benchmarks/differential.py lemur/ab/nn/nn --work differential --mode epoch --count 300

`batch` builds and trains one batch of four images of 32 x 32; `larger` does the same at 64 x 64 with what the plain
loop could build but not train, most often for want of pixels; `epoch` trains a whole epoch with what ran in `batch` and
took no more than a second there. Lines are appended to
files below `--work`, from which an interrupted run goes on; `--side` runs one of the two. Networks come in a random
order, the same for the same files and seed: whatever was done is a fair sample. Remove `ours.jsonl` after a change of
the evaluator. Writes benchmarks/results/differential.jsonl and docs/results/differential.md, see
`differential_page.py`. The plain loop executes the files without a sandbox.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from archloop.ops import logging
from archloop.protocols import Protocol
from benchmarks import differential_page
from benchmarks.differential_modes import MODES, export
from benchmarks.differential_pairs import Line, affordable, failed_in_training, read
from services.evaluator import datasets
from services.evaluator.app import opened_evaluator
from services.evaluator.evaluator import Evaluator
from services.evaluator.secret import PUBLISHED
from services.evaluator.settings import EvaluatorSettings

FIELDS = ("outcome", "stage", "detail", "accuracy", "test_accuracy", "parameters", "seconds", "cpu_seconds")
PLAIN = Path(__file__).with_name("plain_forks.py")
Work = Callable[[Path], Awaitable[Line]]


@dataclass
class Log:
    """Lines of one side in a file, by name; what is there need not be done again."""

    path: Path
    lines: dict[str, Line] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = read(self.path)

    def append(self, line: Line) -> None:
        """At once: whoever stops the run loses nothing."""
        with self.path.open("a") as out:
            out.write(json.dumps(line) + "\n")
        self.lines[line["name"]] = line


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def shuffled(folders: Iterable[Path], seed: int) -> list[Path]:
    """All networks in an order that depends on nothing but their names and the seed."""
    paths = sorted((path for folder in folders for path in folder.glob("*.py") if path.stem != "__init__"), key=named)
    random.Random(seed).shuffle(paths)
    return paths


@asynccontextmanager
async def plain(folder: Path, seed: int) -> AsyncIterator[Work]:
    """A plain loop's process, for one network after the other."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(PLAIN), str(folder), stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    to, back = process.stdin, process.stdout

    async def work(path: Path) -> Line:
        to.write(json.dumps({"path": str(path.resolve()), "seed": seed}).encode() + b"\n")
        answer: Line = json.loads(await back.readline())
        return {"name": named(path), **{key: value for key, value in answer.items() if key != "path"}}

    try:
        yield work
    finally:
        to.close()
        process.terminate()
        await process.wait()


def ours(evaluator: Evaluator, protocol: Protocol) -> Work:
    """The evaluator's answer; a failure of the sandbox is one too, which the comparison shows."""

    async def work(path: Path) -> Line:
        code = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            told = await evaluator.evaluate(code, protocol)
        except Exception as error:  # noqa: BLE001 - a failure of ours is to be counted, not to end an hour's work
            return {"name": named(path), "outcome": "failed", "detail": str(error)}
        return {"name": named(path), **told.model_dump(mode="json", include=set(FIELDS))}

    return work


async def pull(jobs: Iterator[Path], work: Work, log: Log, told: Callable[[], None]) -> None:
    """One worker's share: as long as there is something left."""
    for path in jobs:
        log.append(await work(path))
        told()


class Progress:
    """Every now and then a line on standard error; no more jobs once the time is over."""

    def __init__(self, what: str, jobs: Sequence[Path], minutes: float) -> None:
        self._what, self._jobs, self._done, self._began = what, jobs, 0, time.monotonic()
        self._end = self._began + 60 * minutes

    def __iter__(self) -> Iterator[Path]:
        for path in self._jobs:
            if time.monotonic() > self._end:
                return
            yield path

    def told(self) -> None:
        """One more is done."""
        self._done += 1
        each = (time.monotonic() - self._began) / self._done
        if self._done % 50 == 0 or self._done == len(self._jobs):
            left = each * (len(self._jobs) - self._done) / 60
            print(
                f"{self._what}: {self._done} of {len(self._jobs)}, {each:.2f} s each, {left:.0f} min left",
                file=sys.stderr,
            )


@dataclass(frozen=True)
class Run:
    """One mode's run over some networks."""

    protocol: Protocol
    folder: Path
    workers: int
    minutes: float

    async def plain(self, paths: Sequence[Path], seed: int) -> None:
        """Through the plain loop, with this seed."""
        log = Log(self.folder / f"plain-{seed}.jsonl")
        missing = [path for path in paths if named(path) not in log.lines]
        progress = Progress(f"plain, seed {seed}", missing, self.minutes)
        jobs = iter(progress)

        async def worker() -> None:
            async with plain(self.folder, seed) as work:
                await pull(jobs, work, log, progress.told)

        await asyncio.gather(*(worker() for _ in range(self.workers)))

    async def ours(self, paths: Sequence[Path], evaluator: Evaluator) -> None:
        """Through the evaluator, but for those that need a package that neither side has."""
        log, reference = Log(self.folder / "ours.jsonl"), Log(self.folder / "plain-0.jsonl").lines
        names = {name for name, line in reference.items() if "missing" not in line}
        missing = [path for path in paths if named(path) in names and named(path) not in log.lines]
        progress = Progress("ours", missing, self.minutes)
        jobs, work = iter(progress), ours(evaluator, self.protocol)
        await asyncio.gather(*(pull(jobs, work, log, progress.told) for _ in range(self.workers)))


def chosen(options: argparse.Namespace) -> list[Path]:
    """The networks of this mode, the first `--count` of them."""
    paths = shuffled(options.folders, options.seed)
    if options.mode != "batch":
        before = Log(options.work / "batch" / "plain-0.jsonl").lines
        wanted = affordable if options.mode == "epoch" else failed_in_training
        paths = [path for path in paths if named(path) in before and wanted(before[named(path)])]
    return paths[: options.count]


async def compare(options: argparse.Namespace) -> None:
    """Both sides, or one."""
    folder = options.work / options.mode
    folder.mkdir(parents=True, exist_ok=True)
    run, paths = Run(MODES[options.mode], folder, options.workers, options.minutes), chosen(options)
    settings = EvaluatorSettings(slots=options.workers, heldout_secret=PUBLISHED)
    export(run.protocol, datasets.load(run.protocol.dataset, settings.data_dir, settings.secret()), folder)
    if options.side != "ours":
        for seed in range(options.seeds):
            await run.plain(paths, seed)
    if options.side != "plain":
        async with opened_evaluator(settings) as evaluator:
            await run.ours(paths, evaluator)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="with networks, such as ab/nn/nn of the unpacked wheel")
    parser.add_argument("--work", type=Path, required=True, help="folder that remembers what was done")
    parser.add_argument("--mode", choices=MODES, default="batch")
    parser.add_argument("--side", choices=["plain", "ours", "both"], default="both")
    parser.add_argument("--count", type=int, help="no more networks than this")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument(
        "--seeds", type=int, default=1, help="of the plain loop: two show how far chance moves accuracies"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin nothing more after these, for each side")
    parser.add_argument("--out", type=Path, default=Path(), help="write below this folder instead")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    logging.configure(level="WARNING", json=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl+C: what was begun is ended, nothing is lost
    with suppress(KeyboardInterrupt):  # the page tells what there is
        asyncio.run(compare(options))
    differential_page.write(options.work, options.out)


if __name__ == "__main__":
    main()
