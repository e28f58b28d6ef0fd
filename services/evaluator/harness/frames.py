"""Frames on a pipe, the one way from the child to the parent: each is a kind byte, a length and a payload.

The order is fixed: the name of each stage as it begins, then the predictions if there are any, then one outcome, and
after the outcome `ok` the graph of the network.
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
    """Frame as it was received; `end` is the position in the stream after its last byte."""

    kind: bytes
    payload: bytes
    end: int


def pack(kind: bytes, payload: bytes) -> bytes:
    """Return the bytes of one frame."""
    return HEADER.pack(kind, len(payload)) + payload


def unpack(stream: bytes) -> Iterator[Frame]:
    """Yield the frames of a whole stream. Raises Cut at the first byte that is not part of a whole frame."""
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
