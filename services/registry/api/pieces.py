"""Events as they are sent, in pieces of bounded size that followers share."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sse_starlette import ServerSentEvent

from services.registry.records import Event

_PIECE_BYTES = 2**16
_KEPT_BYTES = 2**22


class Key(NamedTuple):
    """What names a piece: a run, or None for all, and the place in the log after which it begins."""

    run_id: str | None
    after: int


class Piece(NamedTuple):
    """Some events as they are sent, and the place after them."""

    data: bytes
    last: int


class Batch(NamedTuple):
    """The events found at the log's end at one time, together and by run."""

    pieces: Mapping[str | None, Piece]
    last: int

    def of(self, run_id: str | None) -> Piece:
        """Return the run's events; an empty piece for a run that is not in it."""
        return self.pieces.get(run_id, Piece(b"", self.last))


class PieceCache:
    """The pieces that were made or asked for last, as many as a bound of bytes allows."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Key, Piece] = OrderedDict()
        self._batches: OrderedDict[int, Batch] = OrderedDict()

    def find(self, key: Key) -> Piece | None:
        """Return the piece, if it is kept."""
        if (found := self._batches.get(key.after)) is not None:
            return found.of(key.run_id)
        if key in self._pages:
            self._pages.move_to_end(key)
        return self._pages.get(key)

    def keep(self, key: Key, piece: Piece) -> None:
        """Keep a page that will always be the same."""
        self._pages[key] = piece
        while sum(len(each.data) for each in self._pages.values()) > _KEPT_BYTES:
            self._pages.popitem(last=False)

    def keep_batch(self, after: int, batch: Batch) -> None:
        """Keep the newest batch."""
        self._batches[after] = batch
        while sum(len(each.of(None).data) for each in self._batches.values()) > _KEPT_BYTES:
            self._batches.popitem(last=False)


def batch(events: Sequence[Event]) -> Batch:
    """Make a batch of these events, at least one."""
    sent: defaultdict[str | None, bytearray] = defaultdict(bytearray)
    for event in events:
        data = encoded(event)
        sent[None] += data
        sent[event.run_id] += data
    last = events[-1].seq
    return Batch({run_id: Piece(bytes(data), last) for run_id, data in sent.items()}, last)


def page(events: Sequence[Event], *, full: bool, end: int) -> tuple[bool, Piece]:
    """Make a piece of the first events that it has room for, at least one.

    Return whether those are all that there are, and the piece. The place after all that there are is the log's end.
    """
    data, last = bytearray(), 0
    for event in events:
        more = encoded(event)
        if data and len(data) + len(more) > _PIECE_BYTES:
            return False, Piece(bytes(data), last)
        data += more
        last = event.seq
    return not full, Piece(bytes(data), last if full else max(last, end))


def encoded(event: Event) -> bytes:
    """Encode the event as a server-sent event."""
    return ServerSentEvent(event.model_dump_json(), id=str(event.seq), event=event.type).encode()
