"""`python -m services.registry.backup save|restore FOLDER [--keep N]`: all that the registry has on record, as files.

`FOLDER/documents/<time>/` has a file for each collection, a document a line (MongoDB's extended JSON), and
`FOLDER/objects/` every object, shared by all times, for none ever changes. The registry may go on meanwhile: events are
read before what they led to, and objects after the documents that name them, so that at worst an event is missing
whose effect is there, as if it were still to come.
"""

import argparse
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import structlog
from bson import json_util
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from archloop.blobs.directory import DirectoryBlobs
from archloop.blobs.port import Blobs
from archloop.errors import Conflict, NotFound
from archloop.ops.connecting import bucket, needed, patiently
from archloop.ops.serve import once
from services.registry.settings import RegistrySettings
from services.registry.stores.mongo import MongoStore
from services.registry.stores.mongo_client import connected, host_of, translated

log = structlog.get_logger(__name__)

Database = AsyncDatabase[dict[str, Any]]
_FIRST, _SCHEMA = "events", "meta"
_BATCH = 500


class Places(NamedTuple):
    """The database and object store of a registry, and the folder with their copies."""

    database: Database
    objects: Blobs
    folder: Path

    @property
    def copies(self) -> DirectoryBlobs:
        """The objects in the folder."""
        return DirectoryBlobs(self.folder / "objects")


async def save(places: Places, at: datetime) -> Path:
    """Save the documents of this time, and return their folder, which has its name only once all is there."""
    done = places.folder / "documents" / f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    draft = done.with_name(f".{done.name}")
    draft.mkdir(parents=True, exist_ok=True)
    names = await places.database.list_collection_names()
    for name in sorted(names, key=lambda name: (name != _FIRST, name)):
        with (draft / f"{name}.jsonl").open("w") as lines:
            async for document in places.database[name].find():
                lines.write(json_util.dumps(document, json_options=json_util.CANONICAL_JSON_OPTIONS) + "\n")
    await copied(places.objects, places.copies)
    return draft.rename(done)


def prune(folder: Path, keep: int) -> list[Path]:
    """Delete the documents of all times but the `keep` latest, and return their folders. Objects all stay."""
    old = _saved(folder)[:-keep]
    for path in old:
        shutil.rmtree(path)
    return old


async def restore(places: Places) -> Path:
    """Restore the latest documents and return their folder. Raises NotFound; Conflict where the database has any."""
    saved = _saved(places.folder)
    if not saved:
        raise NotFound("backup", str(places.folder))
    for name in await places.database.list_collection_names():
        if name != _SCHEMA and await places.database[name].find_one() is not None:
            raise Conflict(f"{places.database.name}.{name} is not empty: restore into a database of another name")
    await copied(places.copies, places.objects)
    for path in saved[-1].glob("*.jsonl"):
        await _insert(places.database[path.stem], path)
    return saved[-1]


def _saved(folder: Path) -> list[Path]:
    """Return the folders of documents that are complete, oldest first."""
    return [path for path in sorted((folder / "documents").glob("*")) if not path.name.startswith(".")]


async def copied(source: Blobs, target: Blobs) -> None:
    """Copy every object that the target lacks, verified by its hash on the way."""
    there = set(await target.list(""))
    for key in await source.list(""):
        if key not in there and (ref := await source.find(key)) is not None:
            await target.put(key, await source.get(ref))


async def _insert(collection: AsyncCollection[dict[str, Any]], path: Path) -> None:
    """Replace the collection's documents by the file's; a new database has one already, the schema's version."""
    await collection.delete_many({})
    with path.open() as lines:
        documents = map(json_util.loads, lines)
        while batch := list(islice(documents, _BATCH)):
            await collection.insert_many(batch)


@asynccontextmanager
async def opened(settings: RegistrySettings, folder: Path) -> AsyncIterator[Places]:
    """Open the registry that the settings name. Raises Misconfigured, Unavailable after the patience."""
    url = needed(settings.mongo_url, settings.variable("mongo_url"), "mongodb://user:password@host:27017")
    objects = await bucket(settings, make=settings.make_bucket)
    # Which makes the indexes, and refuses a schema that it does not know.
    store = await patiently(partial(MongoStore.open, url, settings.mongo_database), settings.start_patience_s)
    await store.close()
    client = connected(url, settings.start_patience_s)
    try:
        with translated(host_of(url)):
            yield Places(client[settings.mongo_database], objects, folder)
    finally:
        await client.close()


async def _run(verb: str, folder: Path, keep: int | None, settings: RegistrySettings) -> None:
    async with opened(settings, folder) as places:
        path = await (save(places, datetime.now(UTC)) if verb == "save" else restore(places))
    if keep is not None:
        log.info("pruned", documents=[str(each) for each in prune(folder, keep)])
    log.info("done", verb=verb, documents=str(path))


def main() -> int:
    """Return the exit code; what is wrong is one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m services.registry.backup", description="Copy the registry.")
    parser.add_argument("verb", choices=["save", "restore"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", type=int, help="how many times of documents to keep when saving; all unless given")
    arguments = parser.parse_args()
    if arguments.keep is not None and (arguments.verb != "save" or arguments.keep < 1):
        parser.error("--keep: a number from 1 on, with `save`")
    return once(RegistrySettings, partial(_run, arguments.verb, arguments.folder, arguments.keep))


if __name__ == "__main__":
    sys.exit(main())
