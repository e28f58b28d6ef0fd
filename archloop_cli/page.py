"""`archloop page`: the page over runs' directories, finished or not, until it is ended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

from fastapi import FastAPI

from archloop import __version__
from archloop.errors import Misconfigured, NotFound
from archloop.ops.http import listening
from archloop.ops.serve import forever
from archloop_cli import terminal
from archloop_lab.run_directory import RunDirectory
from services.registry import page
from services.registry.api.feed import Feed
from services.registry.page.access import Access
from services.registry.page.library import Entries, Entry, Shelf
from services.registry.page.routing import Desk

_HOST, _PORT = "127.0.0.1", "--port"
USUAL = 8300
_FOLLOWERS = 50


class Directories:
    """The runs of several directories; those that have one name are told apart by their directory's."""

    def __init__(self, shelves: Sequence[tuple[Path, Shelf]]) -> None:
        self._shelves = shelves

    async def entries(self, offset: int, limit: int) -> Entries:
        """Return runs, latest first."""
        found = sorted(await self._all(), key=lambda entry: entry.run.created, reverse=True)
        return Entries(len(found), found[offset : offset + limit])

    async def find(self, key: str) -> Entry:
        """Return the run of this key. Raises NotFound."""
        for entry in await self._all():
            if entry.key == key:
                return entry
        raise NotFound("run", key)

    async def _all(self) -> list[Entry]:
        found = [
            (path, Entry(run.run_id, run, shelf))
            for path, shelf in self._shelves
            for run in (await shelf.store.runs()).items
        ]
        names = [entry.key for _, entry in found]
        return [
            entry if names.count(entry.key) == 1 else entry._replace(key=f"{entry.key}@{path.name}")
            for path, entry in found
        ]


def serve(given: Sequence[Path], port: int) -> None:
    """Serve the page over these runs, or those of `runs/`, and print its address. Raises NotFound, Misconfigured."""
    asyncio.run(_serve(directories(given), port))


def directories(given: Sequence[Path]) -> list[RunDirectory]:
    """Return the runs' directories: those given, those in a folder given, or those in `runs/`. Raises NotFound."""
    found = [run for path in given or [Path("runs")] for run in _runs_at(path)]
    if not found:
        raise NotFound("run directory (one with a registry.sqlite)", str(Path("runs")))
    return list(dict.fromkeys(found))


def _runs_at(path: Path) -> list[RunDirectory]:
    here = RunDirectory(path)
    if here.registry_file.is_file():
        return [here]
    found = [RunDirectory(each) for each in sorted(path.glob("*")) if RunDirectory(each).registry_file.is_file()]
    if not found:
        raise NotFound("run directory (one with a registry.sqlite)", str(path))
    return found


async def _serve(runs: Sequence[RunDirectory], port: int) -> None:
    async with app(runs) as served, listening(served, _HOST, port, _PORT) as url:
        terminal.put(f"{url}/")
        await forever()


@asynccontextmanager
async def beside(api: FastAPI, run_id: str, *, shown: bool) -> AsyncIterator[None]:
    """Serve the page of a run that is under way in this process, at the usual port or any other, unless unwanted."""
    if not shown:
        yield
        return
    async with AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(listening(api, _HOST, USUAL, _PORT))
        except Misconfigured:
            url = await stack.enter_async_context(listening(api, _HOST, 0, _PORT))
        terminal.say(f"page: {url}/page/runs/{run_id}")
        yield


@asynccontextmanager
async def app(runs: Sequence[RunDirectory]) -> AsyncIterator[FastAPI]:
    """Make the page's app over runs' directories."""
    async with AsyncExitStack() as stack:
        shelves = []
        for run in runs:
            store = await stack.enter_async_context(run.rows())
            feed = stack.enter_context(closing(Feed(store, _FOLLOWERS)))
            shelves.append((run.path, Shelf(store, run.blobs, feed)))
        made = FastAPI(title="Archloop page", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
        page.install(made, Desk(Directories(shelves), Access(None, None)))
        yield made
