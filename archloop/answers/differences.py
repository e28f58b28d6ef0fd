"""The changes that make one text of another, each with just enough of the lines around it to be found once."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from archloop.answers.patches import Change

# Matching is cubic at worst: where more lines than this differ, all between the first and the last of them is a change.
_MOST_LINES = 200


class _Span(NamedTuple):
    """Lines `start` to `stop` before, and `begin` to `end` after the change."""

    start: int
    stop: int
    begin: int
    end: int

    def wider(self, above: int, below: int) -> "_Span":
        return _Span(self.start - above, self.stop + below, self.begin - above, self.end + below)

    def with_next(self, other: "_Span") -> "_Span":
        return _Span(self.start, other.stop, self.begin, other.end)


def between(before: str, after: str) -> list[Change]:
    """Return the changes that make `after` of `before`, in order. Both end with a line feed."""
    old, new = _lines(before), _lines(after)
    spans, done = _spans(old, new), list[_Span]()
    while spans:
        span = _grown(before, old, spans[0], done[-1].stop if done else 0, spans[1].start if spans[1:] else len(old))
        if _is_unique(before, old, span):
            done.append(span)
            spans = spans[1:]
        elif spans[1:]:
            spans = [span.with_next(spans[1]), *spans[2:]]
        else:
            spans = [done.pop().with_next(span)]
    return [Change("".join(old[span.start : span.stop]), "".join(new[span.begin : span.end])) for span in done]


def find(text: str, lines: str, start: int = 0) -> int:
    """Return where these whole lines stand in the text, from `start` on; -1 if nowhere."""
    return f"\n{text}".find(f"\n{lines}", start)


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.split("\n")[:-1]]


def _spans(old: Sequence[str], new: Sequence[str]) -> list[_Span]:
    """Return what differs, without what both begin and end with."""
    shorter = min(len(old), len(new))
    head = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    tail = next((n for n in range(shorter - head) if old[-1 - n] != new[-1 - n]), shorter - head)
    whole = _Span(head, len(old) - tail, head, len(new) - tail)
    if max(whole.stop - head, whole.end - head) > _MOST_LINES:
        return [whole]
    matcher = difflib.SequenceMatcher(None, old[head : whole.stop], new[head : whole.end], autojunk=False)
    return [_Span(*(head + place for place in places)) for tag, *places in matcher.get_opcodes() if tag != "equal"]


def _grown(text: str, old: Sequence[str], span: _Span, low: int, high: int) -> _Span:
    """Add lines above and below in turn until the span is found once, or nothing is left up to its neighbours."""
    while not _is_unique(text, old, span) and (span.start > low or span.stop < high):
        span = span.wider(span.start > low, 0)
        if not _is_unique(text, old, span):
            span = span.wider(0, span.stop < high)
    return span


def _is_unique(text: str, old: Sequence[str], span: _Span) -> bool:
    searched = "".join(old[span.start : span.stop])
    if not searched.strip():
        return False
    start = find(text, searched)
    return start >= 0 and find(text, searched, start + 1) < 0
