"""How long the registry takes to list, filter, sort and search many candidates: `python -m benchmarks.search`.

Seeds a store with so many candidates of one run, as messages would have recorded them, asks for each page again and
again over the API and the page, and prints the times of a request in milliseconds. With `--mongo URL` the store is an
empty database of that server, which is dropped in the end, and every message is recorded on its own.
"""

import argparse
import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from pymongo import AsyncMongoClient

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.base import Message
from archloop.contracts.messages import (
    CandidateEvaluatedFailed,
    CandidateEvaluatedOk,
    CandidateGenerated,
    CandidateJudged,
    RunRequested,
)
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import Evaluation, Family, Outcome, SandboxLevel, SourceCode, Verdict
from services.generator.model_build import corpus
from services.registry import page
from services.registry.api import bounded, create
from services.registry.page.access import Access
from services.registry.page.library import Shelf, StoreLibrary
from services.registry.page.routing import Desk
from services.registry.stores.mongo import MongoStore
from services.registry.stores.port import Store
from services.registry.stores.sqlite import SqliteStore
from services.registry.stores.sqlite_writes import apply

RUN, DATABASE, AT = "large", "search", datetime(2026, 1, 1, tzinfo=UTC)
API, VIEW = f"/runs/{RUN}/candidates", f"/page/runs/{RUN}/candidates"
_ERRORS = (
    "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x32 and 24x10) (line 44)",
    "SyntaxError: '(' was never closed (line 23)",
    "CUDA out of memory",
    "NameError: name 'torch' is not defined (line 9)",
)
QUERIES = {
    "first page": {},
    "last page": {"offset": "{last}"},
    "most accurate": {"sort": "-accuracy"},
    "least similar": {"sort": "similarity"},
    "of an outcome": {"outcome": "shape_error"},
    "of a family, by accuracy": {"family": "residual", "outcome": "ok", "sort": "-accuracy"},
    "accurate enough": {"min_accuracy": "0.7"},
    "a word that many have": {"code": "conv2d"},
    "a word that few have": {"code": "hardswish groupnorm"},
    "the beginning of a word": {"code": "avg"},
    "words of an error": {"error": "shapes multiplied"},
    "all of it": {"code": "conv2d", "outcome": "ok", "family": "dense", "min_accuracy": "0.3", "sort": "-accuracy"},
}


def messages(count: int) -> Iterator[Message]:
    """What would have been recorded of so many candidates."""
    rng, families = random.Random(0), list(Family)
    codes = [example.seed.code for example in corpus.write(0, 400)]
    for index in range(count):
        place = {"run_id": RUN, "cycle": 0, "index": index}
        code = SourceCode.inline(f"{codes[index % len(codes)]}\n# {index}\n")
        yield CandidateGenerated(**place, code=code, prompt="write a network", protocol="digits")
        valid, accuracy = rng.random() < 0.7, rng.random()
        told = Evaluation(
            outcome=Outcome.OK if valid else rng.choice([Outcome.SHAPE_ERROR, Outcome.SYNTAX_ERROR]),
            stage="train",
            detail="" if valid else rng.choice(_ERRORS),
            protocol="digits",
            protocol_sha256="a" * 64,
            code_sha256=code.sha256,
            accuracy=accuracy if valid else None,
            loss_curve=[3.0 - step / 20 for step in range(50)] if valid else [],
            sandbox_level=SandboxLevel.NAMESPACES,
        )
        kind = CandidateEvaluatedOk if valid else CandidateEvaluatedFailed
        yield kind(**place, code=code, evaluation=told)
        if valid:
            similarity, family = rng.random() * 0.9, rng.choice(families)
            yield CandidateJudged(**place, verdict=Verdict.NOVEL, similarity=similarity, threshold=0.85, family=family)


@asynccontextmanager
async def seeded(folder: Path, count: int, mongo: str | None) -> AsyncIterator[Store]:
    """Make a store that has them, on SQLite in one transaction."""
    store = await MongoStore.open(mongo, DATABASE) if mongo else SqliteStore(folder / "registry.sqlite")
    await store.record(RunRequested(run_id=RUN, spec=RunSpec(cycles=1, candidates=count, protocol="digits")), AT)
    await store.open_cycle(RUN, 0, None, AT)
    if isinstance(store, SqliteStore):
        with store._transaction() as db:  # noqa: SLF001 - a transaction a message would take ten times as long
            for message in messages(count):
                apply(message, db, AT)
    else:
        for message in messages(count):
            await store.record(message, AT)
    yield store
    await store.close()
    if mongo:
        async with AsyncMongoClient[dict[str, Any]](mongo) as client:
            await client.drop_database(DATABASE)


async def timed(client: httpx.AsyncClient, path: str, query: dict[str, str], times: int) -> tuple[int, list[float]]:
    """Ask again and again; return how long the answer is, and the milliseconds of each request."""
    found: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        answer = await client.get(path, params=query)
        found.append(1000 * (time.perf_counter() - began))
        answer.raise_for_status()
    return len(answer.content), found


async def shown(client: httpx.AsyncClient) -> float:
    """Return the milliseconds until the run's page says something, and wait until it says all."""
    (first,) = (await timed(client, f"/page/runs/{RUN}", {}, 1))[1]
    await client.get(f"/page/runs/{RUN}", headers={"HX-Request": "true"})
    return first


async def measured(folder: Path, count: int, times: int, mongo: str | None) -> None:
    """Print the whole table."""
    began = time.perf_counter()
    async with seeded(folder, count, mongo) as store:
        size = sum(file.stat().st_size for file in folder.glob("registry.sqlite")) / 2**20
        print(f"{count} candidates in {time.perf_counter() - began:.0f} s, {size:.0f} MiB")
        blobs = DirectoryBlobs(folder / "blobs")
        app = create(store, blobs, _nobody)
        page.install(app, Desk(StoreLibrary(Shelf(store, blobs, bounded(app))), Access(None, None)))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://registry", timeout=60
        ) as client:
            for label in ("the run, first view", "the run, as it was read"):
                print(f"{label:<28}{await shown(client):>9.0f}")
            print(f"{'milliseconds':<28}{'API p50':>9}{'p95':>7}{'page p50':>10}{'p95':>7}")
            for label, query in QUERIES.items():
                asked = {key: value.format(last=count - 50) for key, value in query.items()}
                api = (await timed(client, API, {"limit": "50", **asked}, times))[1]
                view = (await timed(client, VIEW, asked, times))[1]
                print(f"{label:<28}{_row(api)}{_row(view)}")


def _row(times: list[float]) -> str:
    return f"{median(times):>9.0f}{quantiles(times, n=20)[-1]:>8.0f}"


async def _nobody(_: object) -> None:
    """Nobody listens."""


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--candidates", type=int, default=100_000)
    options.add_argument("--times", type=int, default=20)
    options.add_argument("--mongo", metavar="URL", help="a server whose database `search` may be written and dropped")
    given = options.parse_args()
    with TemporaryDirectory() as name:
        asyncio.run(measured(Path(name), given.candidates, given.times, given.mongo))
