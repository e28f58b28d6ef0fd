"""What is particular to the store on SQLite: its errors, and a file shared with others."""

import resource
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archloop.contracts.acts import Act
from archloop.contracts.messages import CandidateGenerated, RunRequested, RunSteered
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import SourceCode
from archloop.errors import IntegrityError, InvalidInput, Unavailable
from services.registry.records import CandidateQuery
from services.registry.stores.sqlite import SqliteStore

AT = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = RunSpec(cycles=1, candidates=1, protocol="digits")


def request(run_id: str) -> RunRequested:
    return RunRequested(run_id=run_id, spec=SPEC)


async def fill(store: SqliteStore) -> None:
    for n in range(1000):
        await store.record(request(f"more-{n}"), AT)


async def test_a_full_disk_is_a_retryable_error_that_names_the_file_and_loses_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "registry.sqlite")
    await store.record(request("before"), AT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(Unavailable, match=r"registry\.sqlite"):
            await fill(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await store.run("before") is not None
    await store.record(request("after"), AT)
    await store.close()
    again = SqliteStore(tmp_path / "registry.sqlite")
    assert await again.run("before") is not None
    assert await again.run("after") is not None


async def test_a_locked_file_is_a_retryable_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "registry.sqlite", busy_s=0.01)
    other = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await store.record(request("r"), AT)
    assert await store.run("r") is None
    other.execute("COMMIT")
    await store.record(request("r"), AT)
    assert await store.run("r") is not None


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"not a database at all, but long enough to look like one" * 100)
    with pytest.raises(IntegrityError, match=r"registry\.sqlite"):
        SqliteStore(path)


def forget_what_is_found(older: sqlite3.Connection) -> None:
    """Make it a database of before 7."""
    older.executescript("""
        DROP TRIGGER found_candidate; DROP TRIGGER found_parent; DROP TRIGGER found_code;
        DROP TRIGGER found_evaluation; DROP TRIGGER found_verdict;
        DROP TABLE found; DROP TABLE code_words; DROP TABLE error_words; PRAGMA user_version = 6;
    """)


async def test_what_a_database_of_before_has_is_found(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    store = SqliteStore(path)
    await store.record(request("r"), AT)
    await store.open_cycle("r", 0, None, AT)
    written = CandidateGenerated(run_id="r", code=SourceCode.inline("class Net: pass"), prompt="p", protocol="digits")
    await store.record(written, AT)
    await store.close()
    with sqlite3.connect(path) as older:
        forget_what_is_found(older)
    for _ in range(2):  # a second look changes nothing
        brought = SqliteStore(path)
        for query, total in (({"code": "net"}, 1), ({"code": "nets"}, 0), ({"run_id": "r", "cycle": 0}, 1)):
            assert (await brought.candidates(CandidateQuery(**query))).total == total
        await brought.close()


async def test_a_database_that_knew_what_was_asked_by_the_runs_name_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    store = SqliteStore(path)
    await store.record(request("r"), AT)
    await store.close()
    with sqlite3.connect(path) as older:
        older.execute("ALTER TABLE asked RENAME COLUMN run_uid TO run_id")
        older.execute("INSERT INTO asked VALUES ('r', 'cycle-0', 5)")
        older.execute("PRAGMA user_version = 3")
    brought = SqliteStore(path)
    run = await brought.run("r")
    assert run is not None
    assert await brought.claim(run.uid, "cycle-0", 0, 4)
    assert await brought.asked(run.uid, "cycle-0") == 4


def test_a_database_of_a_newer_archloop_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(InvalidInput, match="schema 99"):
        SqliteStore(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file/registry"):
        SqliteStore(tmp_path / "file" / "registry.sqlite")


async def test_others_can_read_while_the_registry_writes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "registry.sqlite")
    reader = SqliteStore(tmp_path / "registry.sqlite")
    for n in range(20):
        await store.record(request(f"r{n}"), AT)
        assert (await reader.runs()).total == n + 1


async def test_a_database_from_before_people_steered_runs_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    store = SqliteStore(path)
    await store.record(request("r"), AT)
    await store.open_cycle("r", 0, None, AT)
    await store.close()
    with sqlite3.connect(path) as older:
        forget_what_is_found(older)
        older.executescript("""
            DROP VIEW run_rows; DROP TABLE acts; ALTER TABLE candidates DROP COLUMN submitter;
            ALTER TABLE cycles DROP COLUMN steered; PRAGMA user_version = 5;
        """)
    brought = SqliteStore(path)
    assert [cycle.steered for cycle in await brought.cycles("r")] == [None]
    own = CandidateGenerated(run_id="r", code=SourceCode.inline("x"), prompt="", protocol="digits", submitter="ann")
    await brought.record(own, AT)
    await brought.record(RunSteered(run_id="r", act_id="a", act=Act(verb="pause")), AT)
    run, candidate = await brought.run("r"), await brought.candidate(own.candidate_id)
    assert run is not None
    assert candidate is not None
    assert (run.status, candidate.submitter) == ("paused", "ann")


@pytest.mark.parametrize("version", [1, 2, 3, 4])
async def test_a_database_from_before_candidates_had_parents_is_brought_forward(tmp_path: Path, version: int) -> None:
    path = tmp_path / "registry.sqlite"
    await SqliteStore(path).close()
    with sqlite3.connect(path) as older:
        forget_what_is_found(older)
        older.execute("ALTER TABLE candidates DROP COLUMN parent")
        older.execute("INSERT INTO runs VALUES ('r', ?, 0, NULL, NULL)", (SPEC.model_dump_json(),))
        older.execute("INSERT INTO candidates (candidate_id, run_id, submission) VALUES ('c', 'r', 's')")
        older.execute(f"PRAGMA user_version = {version}")
    brought = SqliteStore(path)
    candidate = await brought.candidate("c")
    assert candidate is not None
    assert candidate.parent is None
    await brought.open_cycle("r", 0, None, AT)
    edited = CandidateGenerated(run_id="r", code=SourceCode.inline("x"), prompt="p", protocol="digits", parent="c")
    await brought.record(edited, AT)
    found = await brought.candidate(edited.candidate_id)
    assert found is not None
    assert found.parent == "c"
