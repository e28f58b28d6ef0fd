"""How to store content whose key names its hash where a damaged object already lies under that key."""

import structlog

from archloop.blobs.port import Blobs
from archloop.contracts.values import BlobRef
from archloop.errors import Conflict, IntegrityError, NotFound

log = structlog.get_logger(__name__)
_SPARE = 9


async def put_sound(blobs: Blobs, key: str, content: bytes) -> BlobRef:
    """Store the content and read it back, under another key where a damaged object lies: objects are immutable.

    Raises IntegrityError where one after the other is damaged: somebody changes them as they are put.
    """
    stem, _, ending = key.rpartition(".")
    for number in range(_SPARE + 1):
        name = f"{stem}-{number}.{ending}" if number else key
        try:
            ref = await blobs.put(name, content)
            await blobs.get(ref)
        except (Conflict, IntegrityError, NotFound) as error:
            log.warning("an object is damaged, and stepped around", key=name, error=str(error))
        else:
            return ref
    raise IntegrityError(f"blob {key!r} and {_SPARE} others in its stead are corrupt: the object store changes them")
