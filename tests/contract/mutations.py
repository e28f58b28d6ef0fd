"""Messages as nobody should send them: golden samples with something wrong, and bytes that never were one."""

import json
from collections.abc import Callable, Iterator, MutableMapping, MutableSequence, Sequence
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from archloop.contracts.envelope import Envelope, MalformedMessage
from archloop.contracts.topology import Queue
from tests.contract.test_messages import GOLDEN

T = TypeVar("T")
Path = tuple[str | int, ...]

_NEST = "@nest@"
NUMBERS = (0, -1, 1.5, 2**31, 2**63, 2**64, 10**30, -(10**30), 1e308, float("nan"), float("inf"), -float("inf"))
TEXTS = ("", " ", "\0", "é" * 300, "x" * 5000, "../../../etc/passwd", "\ud800", "2026-13-99T99:99:99Z", "NaN", _NEST)
TYPES = ("candidate.lost.v0", "candidate.lost.v2", "candidate.judged.v99", "run.requested.v1", "candidate.vanished.v1")
OUTER = ("specversion", "id", "source", "type", "time", "datacontenttype", "runid", "causationid", "attempt", "data")

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.text(max_size=20),
    st.lists(st.sampled_from(NUMBERS), max_size=3),
    st.dictionaries(st.text(max_size=5), st.sampled_from(TEXTS), max_size=3),
)
headers = st.dictionaries(
    st.sampled_from(("x-death", "x-delivery-count", "x-archloop-id", "x-archloop-attempt", "traceparent", "é")),
    st.one_of(st.none(), st.integers(-5, 2**40), st.text(max_size=10), st.lists(st.integers(0, 9), max_size=3)),
    max_size=3,
)
message_ids = st.one_of(st.none(), st.sampled_from(("1", "same", "é")), st.uuids().map(str))


def golden(queue: Queue) -> list[bytes]:
    """The golden samples that the queue wants."""
    found = [path.read_bytes() for path in sorted(GOLDEN.glob("*.json"))]
    return [each for each in found if queue.wants(Envelope.parse(each).routing_key)]


def readable(body: bytes) -> str | None:
    """The id of the message in it, where there is one."""
    try:
        return Envelope.parse(body).message().id
    except MalformedMessage:
        return None


def collected(numbered: Callable[[int], st.SearchStrategy[T]], count: int) -> list[T]:
    """An example of each of so many strategies, the same ones for the same count."""
    found: list[T] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def keep(data: st.DataObject) -> None:
        found.append(data.draw(numbered(len(found))))

    while len(found) < count:  # Few possibilities end earlier than asked.
        keep()
    return found[:count]


@st.composite
def bodies(draw: st.DrawFn, samples: Sequence[bytes], number: int) -> bytes:
    """One in four is broken as bytes, the others as JSON; the number keeps them apart, as long as any other is."""
    document = json.loads(draw(st.sampled_from(samples))) | {"id": f"fuzz-{number:08}"}
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(BYTES))(draw, _encoded(document))
    for _ in range(draw(st.integers(1, 3))):
        draw(st.sampled_from(WRONGS))(draw, document)
    return _encoded(document)


def _encoded(document: object) -> bytes:
    """JSON, with nesting that no encoder would go along with."""
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    return json.dumps(document).encode().replace(json.dumps(_NEST).encode(), deep)


def _places(node: object, above: Path = ()) -> Iterator[Path]:
    inner: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _within(document: Any, path: Path) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _at(document: Any, path: Path) -> Any:
    return _within(document, path)[path[-1]]


def _another_value(draw: st.DrawFn, document: Any) -> None:
    path = draw(st.sampled_from(list(_places(document))))
    _within(document, path)[path[-1]] = draw(junk)


def _another_of_its_kind(draw: st.DrawFn, document: Any) -> None:
    """What the types let pass, so that the handler sees it."""
    values = [
        path for path in _places(document.get("data")) if isinstance(_at(document["data"], path), str | int | float)
    ]
    if values:
        path = draw(st.sampled_from(values))
        texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))
        kind = texts if isinstance(_at(document["data"], path), str) else st.sampled_from(NUMBERS)
        _within(document["data"], path)[path[-1]] = draw(kind)


def _another_outer_value(draw: st.DrawFn, document: Any) -> None:
    document[draw(st.sampled_from(OUTER))] = draw(junk)


def _missing(draw: st.DrawFn, document: Any) -> None:
    path = draw(st.sampled_from(list(_places(document)) or [("id",)]))
    holder = _within(document, path)
    if isinstance(holder, MutableMapping):
        holder.pop(path[-1], None)
    elif isinstance(holder, MutableSequence):
        holder.clear()


def _wrapped(draw: st.DrawFn, document: Any) -> None:
    path = draw(st.sampled_from(list(_places(document)) or [("id",)]))
    holder = _within(document, path)
    holder[path[-1]] = [holder[path[-1]]] if draw(st.booleans()) else str(holder[path[-1]])


def _extra(draw: st.DrawFn, document: Any) -> None:
    document[draw(st.text(max_size=8))] = draw(junk)


def _other_type(draw: st.DrawFn, document: Any) -> None:
    document["type"] = "archloop." + draw(st.sampled_from(TYPES))


def _other_code(_: st.DrawFn, document: Any) -> None:
    """Whose hash is then a wrong one."""
    code = document.get("data")
    code = code.get("code") if isinstance(code, dict) else None
    if isinstance(code, dict):
        code["text"] = "import os\n"


Wrong = Callable[[st.DrawFn, Any], None]
WRONGS: Sequence[Wrong] = (
    _another_of_its_kind,
    _another_of_its_kind,
    _another_of_its_kind,
    _another_value,
    _another_outer_value,
    _missing,
    _wrapped,
    _extra,
    _other_type,
    _other_code,
)


def _cut(draw: st.DrawFn, body: bytes) -> bytes:
    return body[: draw(st.integers(0, len(body) - 1))]


def _flipped(draw: st.DrawFn, body: bytes) -> bytes:
    at = draw(st.integers(0, len(body) - 1))
    return body[:at] + bytes([body[at] ^ (1 << draw(st.integers(0, 7)))]) + body[at + 1 :]


def _no_utf8(draw: st.DrawFn, body: bytes) -> bytes:
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.sampled_from((b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\0"))) + body[at:]


def _no_message(draw: st.DrawFn, _: bytes) -> bytes:
    return draw(st.one_of(st.binary(max_size=200), st.sampled_from((b"", b"null", b"[]", b"{}", b"1", b"[" * 9000))))


def _large(draw: st.DrawFn, body: bytes) -> bytes:
    """One in ten of them, else there would be gigabytes."""
    size = draw(st.sampled_from((2**10,) * 9 + (2**21,)))
    return draw(st.sampled_from((b" " * size + body, body[:-1] + b', "x": "' + b"y" * size + b'"}', b"\xfe" * size)))


Broken = Callable[[st.DrawFn, bytes], bytes]
BYTES: Sequence[Broken] = (
    _cut,
    _flipped,
    _no_utf8,
    _no_message,
    _large,
    lambda _, body: body.decode().encode("utf-16"),
    lambda _, body: b"\xef\xbb\xbf" + body,
    lambda _, body: body + body,
)
