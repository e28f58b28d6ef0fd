"""Which runs the page shows, and where they are recorded: in the registry's own store, or in many runs' directories."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from archloop.blobs.port import Blobs
from archloop.errors import NotFound
from services.registry.api.feed import Feed
from services.registry.records import Run
from services.registry.stores.port import Store


@dataclass(frozen=True)
class Shelf:
    """One place in which runs are recorded."""

    store: Store
    blobs: Blobs
    feed: Feed


class Entry(NamedTuple):
    """A run as the page knows it. `key` is its name, or more where runs of several places have one name."""

    key: str
    run: Run
    shelf: Shelf


class Entries(NamedTuple):
    """A part of the list of runs, and the length of the whole."""

    total: int
    items: Sequence[Entry]


class Library(Protocol):
    """The runs that the page shows."""

    async def entries(self, offset: int, limit: int) -> Entries:
        """Return runs, latest first."""

    async def find(self, key: str) -> Entry:
        """Return the run of this key. Raises NotFound."""


class StoreLibrary:
    """The runs of one store; their keys are their names."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    async def entries(self, offset: int, limit: int) -> Entries:
        """Return runs, latest first."""
        page = await self._shelf.store.runs(offset=offset, limit=limit)
        return Entries(page.total, [Entry(run.run_id, run, self._shelf) for run in page.items])

    async def find(self, key: str) -> Entry:
        """Return the run of this name. Raises NotFound."""
        if (run := await self._shelf.store.run(key)) is None:
            raise NotFound("run", key)
        return Entry(key, run, self._shelf)
