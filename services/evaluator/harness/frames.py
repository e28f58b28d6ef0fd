"""The one way from the child to the parent: frames on a pipe, each a kind byte, a length and a payload.

The order is fixed: a stage name as each stage begins, then the predictions if it came to that, then one outcome,
which settles it, then what the graph is if the outcome was ok.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("<cI")
STAGE, PREDICTIONS, OUTCOME, GRAPH = b"S", b"P", b"O", b"G"
OUTCOME_LIMIT = 16 * 1024
STAGE_LIMIT = 16
LOSS_POINTS = 64


class Cut(ValueError):
    """The stream ends within a frame."""


class Frame(NamedTuple):
    """One frame as it came; `end` is the position in the stream after its last byte."""

    kind: bytes
    payload: bytes
    end: int


def pack(kind: bytes, payload: bytes) -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(kind, len(payload)) + payload


def unpack(stream: bytes) -> Iterator[Frame]:
    """The frames of a whole stream. Raises Cut at the first byte that is not part of a whole frame."""
    position = 0
    while position < len(stream):
        if len(stream) - position < HEADER.size:
            raise Cut("half a frame header")
        kind, length = HEADER.unpack_from(stream, position)
        position += HEADER.size
        if length > len(stream) - position:
            raise Cut("a frame longer than the stream")
        position += length
        yield Frame(kind, stream[position - length : position], position)
