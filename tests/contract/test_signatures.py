"""What every signature store must do: in memory, in a file, and in a file that is reopened after every step."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from archloop.contracts.messages import CandidateJudged
from archloop.contracts.values import Verdict
from archloop.errors import IntegrityError, Unavailable
from services.novelty.features import features
from services.novelty.sqlite import SqliteSignatures
from services.novelty.store import Arrival, SignatureStore

NET = "class Net:\n    def forward(self, x):\n        return x + {}\n"
Stores = Callable[[], SignatureStore]


@pytest.fixture(params=["memory", "file", "reopened file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Answers with the store, or with a new one on the same file."""
    current = [SqliteSignatures(":memory:" if request.param == "memory" else tmp_path / "s.sqlite")]

    def get() -> SignatureStore:
        if request.param == "reopened file":
            current[0].close()
            current[0] = SqliteSignatures(tmp_path / "s.sqlite")
        return current[0]

    yield get
    current[0].close()


def arrival(index: int, *, valid: bool = True, submission: str | None = None, run_id: str = "r") -> Arrival:
    described = features(NET.format(index), k=7, permutations=128, sizes="kept") if valid else None
    return Arrival(f"{run_id}-{submission}-{index}", run_id, 0, index, submission, "run", 0.85, described)


def verdict(index: int) -> CandidateJudged:
    return CandidateJudged(
        run_id="r",
        index=index,
        verdict=Verdict.NOVEL,
        nearest="x",
        similarity=0.1 + 0.2,
        threshold=0.85,
        family="plain",
    )


def recorded(store: SignatureStore, *arrivals: Arrival) -> list[bool]:
    with store.transaction():
        return [store.record(one) for one in arrivals]


def settled(store: SignatureStore, candidate: str, by: str, judged: CandidateJudged | None) -> None:
    with store.transaction():
        store.settle(candidate, released_by=by, judged=judged)


def test_what_was_heard_first_of_a_candidate_stands(store: Stores) -> None:
    assert recorded(store(), arrival(0, valid=False)) == [True]
    assert recorded(store(), arrival(0)) == [False]
    assert store().at_mark("r", 0).features is None


def test_an_arrival_comes_back_as_it_was(store: Stores) -> None:
    one = arrival(0)
    recorded(store(), one)
    back = store().at_mark("r", 0)
    assert back.features.family == one.features.family
    assert np.array_equal(back.features.shingles, one.features.shingles)
    assert np.array_equal(back.features.signature, one.features.signature)
    assert (back.candidate, back.threshold, back.scope) == (one.candidate, 0.85, "run")


def test_the_mark_stands_at_the_lowest_index_that_is_not_settled(store: Stores) -> None:
    recorded(store(), arrival(1), arrival(2))
    assert store().at_mark("r", 0) is None
    recorded(store(), arrival(0, valid=False))
    assert store().at_mark("r", 0).index == 0
    settled(store(), arrival(0).candidate, "m", None)
    assert store().at_mark("r", 0).index == 1
    assert store().at_mark("r", 1) is None


def test_a_submission_is_in_no_cycle_and_in_no_run(store: Stores) -> None:
    submitted = arrival(0, submission="s")
    recorded(store(), submitted)
    assert store().at_mark("r", 0) is None
    settled(store(), submitted.candidate, "m", verdict(0))
    (entry,) = store().entries(0)
    assert entry.run_id == submitted.entry.run_id == ""


def test_verdicts_are_kept_with_the_message_that_released_them_in_their_order(store: Stores) -> None:
    recorded(store(), arrival(0), arrival(1), arrival(2, valid=False))
    settled(store(), arrival(1).candidate, "m", verdict(1))
    settled(store(), arrival(2).candidate, "m", None)
    settled(store(), arrival(0).candidate, "m", verdict(0))
    assert store().released_by("m") == [verdict(1), verdict(0)]
    assert store().released_by("other") == []


def test_entries_are_the_judged_ones_from_any_place_on(store: Stores) -> None:
    recorded(store(), *(arrival(index) for index in range(4)), arrival(4, valid=False))
    for index in (2, 0, 3):
        settled(store(), arrival(index).candidate, f"m{index}", verdict(index))
    assert [entry.candidate for entry in store().entries(0)] == [arrival(i).candidate for i in (2, 0, 3)]
    assert [entry.candidate for entry in store().entries(2)] == [arrival(3).candidate]
    first = next(iter(store().entries(0)))
    assert np.array_equal(first.shingles, arrival(2).entry.shingles)


def test_a_transaction_that_fails_leaves_nothing(store: Stores) -> None:
    with pytest.raises(KeyError):
        _record_and_fail(store())
    assert store().at_mark("r", 0) is None
    assert recorded(store(), arrival(0)) == [True]


def _record_and_fail(store: SignatureStore) -> None:
    with store.transaction():
        store.record(arrival(0))
        raise KeyError("in the middle")


def test_a_store_that_is_locked_or_gone_is_unavailable_for_now(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"s\.sqlite") as raised:
        SqliteSignatures(_directory(tmp_path / "s.sqlite"))
    assert raised.value.retryable


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database, and long enough to have a header " * 10)
    with pytest.raises(IntegrityError, match=r"notes\.txt is no signature store"):
        SqliteSignatures(path)
    assert path.read_bytes().startswith(b"not a database")


KILLED = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from archloop.contracts.messages import CandidateEvaluatedOk
    from archloop.contracts.values import Evaluation, Outcome, SandboxLevel, SourceCode
    from archloop.ops.logging import configure
    from services.novelty.handlers import NoveltyHandler
    from services.novelty.sqlite import SqliteSignatures

    configure()  # logs go to stderr, stdout has the verdicts alone
    path, kill_at = Path(sys.argv[1]), int(sys.argv[2])
    writes = 0

    class Mortal(SqliteSignatures):
        def settle(self, *args, **kwargs):
            global writes
            super().settle(*args, **kwargs)
            writes += 1
            if writes == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def message(index, number):
        code = SourceCode.inline(
            f"class Net:\\n    def forward(self, x):\\n        x = f{number}(x)\\n        return f{number}(x)\\n"
        )
        evaluation = Evaluation(outcome=Outcome.OK, stage="train", protocol="p", protocol_sha256="0" * 64,
                                code_sha256=code.sha256, sandbox_level=SandboxLevel.PROCESS)
        return CandidateEvaluatedOk(run_id="r", index=index, code=code, evaluation=evaluation)

    async def main():
        handler = NoveltyHandler(Mortal(path), None, k=7, permutations=128, sizes="kept")
        for index, number in ((3, 1), (1, 0), (2, 1), (0, 0), (4, 2)):
            for verdict in await handler.handle(message(index, number)):
                print(verdict.model_dump_json())

    asyncio.run(main())
"""


def _run(path: Path, kill_at: int) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(kill_at)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _run(tmp_path_factory.mktemp("undisturbed") / "s.sqlite", 0).stdout


@pytest.mark.parametrize("kill_at", [2, 5])
def test_killed_between_verdicts_and_started_again_the_store_says_what_it_would_have_said(
    undisturbed: str, tmp_path: Path, kill_at: int
) -> None:
    killed = _run(tmp_path / "s.sqlite", kill_at)
    again = _run(tmp_path / "s.sqlite", 0)
    assert killed.returncode == -signal.SIGKILL
    assert undisturbed.count("\n") == 5
    assert again.stdout == undisturbed


def test_two_handlers_on_one_file_take_turns_without_a_gap(tmp_path: Path) -> None:
    ours, theirs = SqliteSignatures(tmp_path / "s.sqlite"), SqliteSignatures(tmp_path / "s.sqlite")
    recorded(ours, arrival(0))
    settled(theirs, arrival(0).candidate, "m", verdict(0))
    assert [entry.candidate for entry in ours.entries(0)] == [arrival(0).candidate]
    assert recorded(theirs, arrival(0)) == [False]


_BEFORE = """
CREATE TABLE made_with (settings TEXT NOT NULL);
INSERT INTO made_with VALUES ('');
CREATE TABLE arrivals (
    candidate TEXT PRIMARY KEY, run_id TEXT NOT NULL, cycle INTEGER NOT NULL, idx INTEGER NOT NULL, submission TEXT,
    scope TEXT NOT NULL, threshold REAL NOT NULL,
    tokens_sha256 TEXT, shingles BLOB, signature BLOB, family TEXT,
    released_by TEXT, position INTEGER UNIQUE, judged TEXT
) WITHOUT ROWID;
"""


@pytest.mark.parametrize("openings", [1, 2, 3])
def test_a_store_of_an_earlier_version_has_all_that_it_had(tmp_path: Path, openings: int) -> None:
    arrivals = [arrival(index) for index in range(6)]
    with sqlite3.connect(tmp_path / "s.sqlite") as old:
        old.executescript(_BEFORE)
        for position, one in enumerate(arrivals):
            judged = verdict(one.index).model_dump_json() if position < 4 else None
            settled_as = ("m", position, judged) if judged else (None, None, None)
            features = (one.features.tokens_sha256, one.features.shingles.tobytes(), one.features.signature.tobytes())
            identity = (one.candidate, "r", 0, one.index, None, "run", 0.85)
            old.execute(
                f"INSERT INTO arrivals VALUES ({', '.join('?' * 14)})", (*identity, *features, "dense", *settled_as)
            )
    old.close()
    for _ in range(openings):
        store = SqliteSignatures(tmp_path / "s.sqlite")
        entries = list(store.entries(0))
        assert [entry.candidate for entry in entries] == [one.candidate for one in arrivals[:4]]
        assert all(np.array_equal(e.shingles, a.features.shingles) for e, a in zip(entries, arrivals, strict=False))
        assert [kept.candidate for kept in store.kept([1, 3])] == [arrivals[1].candidate, arrivals[3].candidate]
        assert store.identical(arrivals[2].entry, "r").candidate == arrivals[2].candidate
        assert np.array_equal(store.at_mark("r", 0).features.shingles, arrivals[4].features.shingles)
        assert len(store.released_by("m")) == 4
        store.close()


def test_segments_are_kept_with_the_transaction(store: Stores) -> None:
    current = store()
    with current.transaction():
        current.keep_segment(0, b"first")
    assert (store().segment(0), store().segment(1)) == (b"first", None)
