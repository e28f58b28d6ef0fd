"""What somebody found who knew the threat model and not the code; the kinds, with more of each."""

import codecs

import pytest

from archloop.contracts.values import Outcome
from tests.escape.levels import place
from tests.unit.evaluator.support import GOOD, TINY, good

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "touch",
    ["os.lseek(fd, 7, 0)", "fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)", "os.utime(fd, (1, 1))", "os.pread(fd, 1, 0)",
     "os.fchmod(fd, 0)", "os.dup(fd)", "fcntl.fcntl(fd, fcntl.F_GETFL)", "os.fstat(fd)"],
)  # fmt: skip
async def test_no_descriptor_is_left_that_neighbours_or_later_candidates_have_too(arena, touch):
    look = f"""
import errno, fcntl, os
left = []
for fd in range(4, 64):
    try:
        {touch}
        left.append(fd)
    except OSError as error:
        left += [] if error.errno == errno.EBADF else [(fd, error.errno)]
ran("touched", left)
raise ValueError("left " + repr(left))
"""
    told = await arena.contained(good(before=look), Outcome.BUILD_ERROR)
    assert "left [] " in told.detail


HIDDEN = "\n".join(f"# {line}" for line in GOOD.splitlines())


@pytest.mark.parametrize("cookie", ["utf-7", "unicode_escape", "raw_unicode_escape", "utf-16", "rot13", "latin-1"])
async def test_a_coding_cookie_changes_nothing_of_what_runs(arena, cookie):
    """A comment in one encoding may be a program in another: `+AAo-` is the end of a line in UTF-7."""
    assert codecs.lookup(cookie)
    line_end = {"utf-7": "+AAo-", "unicode_escape": "\\n", "raw_unicode_escape": "\\u000a"}.get(cookie, "\\n")
    comment = f"# coding: {cookie}\n# {line_end}raise SystemExit('another program')\n"
    told = await arena.evaluator.evaluate(comment + GOOD, TINY)
    assert told.outcome is Outcome.OK, told.detail
    told = await arena.evaluator.evaluate(f"# coding: {cookie}\n{HIDDEN}", TINY)
    assert told.outcome is Outcome.CONTRACT_ERROR


FRAMES = """
import json, os, struct
def say(**more):
    frames = [(b"S", b"shape"), (b"S", b"train"), (b"S", b"predict"), (b"P", struct.pack("<120i", *[0] * 120))]
    outcome = {"outcome": "ok", "detail": "", "parameters": 1, "losses": [], **more}
    for kind, payload in (*frames, (b"O", json.dumps(outcome).encode())):
        os.write(3, struct.pack("<cI", kind, len(payload)) + payload)
    os._exit(0)
"""


@pytest.mark.parametrize("claim", [{"precision": "bfloat16"}, {"memory_format": "channels_last"}, {"precision": "int8"},
    {"precision": "bfloat16", "memory_format": "channels_last"}, {"memory_format": ["contiguous"]}])  # fmt: skip
async def test_nobody_trains_under_conditions_that_nobody_asked_for(arena, claim):
    told = await arena.contained(good(before=f"{FRAMES}\nran('said')\nsay(**{claim})"), Outcome.CRASHED)
    assert told.accuracy is None
    honest = await arena.contained(
        good(before=f"{FRAMES}\nran('said')\nsay(precision='float32')"), Outcome.BELOW_CHANCE
    )
    assert honest.accuracy == 0.25


@pytest.mark.parametrize("found", [
    "[len(f.f_locals['self']._running) for f in frames if hasattr(f.f_locals.get('self'), '_running')]",
    "[o for f in frames for o in f.f_locals.values() if type(o).__name__ == '_Running']",
    "[p for p in __import__('sys').path_importer_cache if 'services' in p and not p.endswith('harness')]",
    "[n for n in __import__('sys').modules if 'dataset' in n and n.startswith('services')]",
    "[o for f in frames for o in f.f_locals.values() if type(o).__name__ in ('Secret', 'Evaluator', 'Protocol')]",
])  # fmt: skip
async def test_the_memory_that_it_was_forked_from_tells_nothing_of_others(arena, found):
    look = f"""
import sys
frames, frame = [], sys._getframe()
while frame is not None:
    frames.append(frame)
    frame = frame.f_back
ran("looked", len(frames))
raise ValueError("found " + repr([x for x in {found} if x]))
"""
    told = await arena.contained(good(before=look), Outcome.BUILD_ERROR)
    assert "found [] " in told.detail


EARLY = {
    "the signal to itself": "os.kill(os.getpid(), signal.SIGXCPU)",
    "the signal to its own thread": "signal.raise_signal(signal.SIGXCPU)",
    "a lower limit": (
        "hard = resource.getrlimit(resource.RLIMIT_CPU)[1]\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (1, hard))\nwhile True: pass"
    ),
    "a lower limit, hard": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
    "as if by default": "signal.signal(signal.SIGXCPU, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGXCPU)",
}


async def test_a_candidate_does_not_choose_to_have_run_out_of_time():
    """At level `process`, where it is no first process of a namespace and such signals end it."""
    sources = [good(before=f"import os, resource, signal\nran('early')\n{early}") for early in EARLY.values()]
    async with place("process") as given:
        for name, source in zip(EARLY, sources, strict=True):
            ((told, marks),) = await given.tried(source)
            assert "early" in marks, name
            assert told.outcome in (Outcome.CRASHED, Outcome.FORBIDDEN), (name, told)
            assert told.cpu_seconds < TINY.limits.cpu_seconds
