"""The program of a candidate, read for what later candidates are told of it."""

from typing import NamedTuple

from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.values import SourceCode
from archloop.errors import IntegrityError, NotFound
from services.registry.stores.port import Store


class Program(NamedTuple):
    """The code as messages carry it, and as text."""

    code: SourceCode
    text: str


async def program(store: Store, blobs: Blobs, candidate_id: str) -> Program | None:
    """Return the candidate's program; None where it has none, or its code is gone or damaged."""
    source = await store.source(candidate_id)
    if source is None:
        return None
    try:
        return Program(source.code, await programs.text_of(source.code, blobs))
    except (NotFound, IntegrityError):
        return None
