"""`archloop page` over directories: which runs are found, how they are called, and that they are shown."""

import asyncio
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from archloop.contracts.messages import RunRequested
from archloop.errors import NotFound
from archloop_cli import page
from archloop_lab.run_directory import RunDirectory
from services.registry.records import utc_now
from tests.support import command, without_settings
from tests.unit.registry.world import spec


async def requested(run: RunDirectory, run_id: str) -> None:
    async with run.rows() as store:
        await store.record(RunRequested(run_id=run_id, spec=spec()), utc_now())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs, two of them of one name, and what is no run."""
    folder = tmp_path_factory.mktemp("runs")
    for name, run_id in (("first", "demo"), ("again", "demo"), ("other", "other")):
        asyncio.run(requested(RunDirectory(folder / name), run_id))
    (folder / "no-run").mkdir()
    (folder / "file").write_text("")
    return folder


async def keys(found: list[RunDirectory]) -> list[str]:
    async with page.app(found) as app:
        return [entry.key for entry in (await app.state.desk.library.entries(0, 10)).items]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["first"], {"demo"}),
        (["other", "first"], {"demo", "other"}),
        (["first", "again"], {"demo@first", "demo@again"}),
        (["first", "first"], {"demo"}),
        ([""], {"demo@first", "demo@again", "other"}),
    ],
)
async def test_runs_have_keys_that_tell_them_apart(runs: Path, given: list[str], expected: set[str]) -> None:
    assert set(await keys(page.directories([runs / name for name in given]))) == expected


@pytest.mark.parametrize("given", ["no-run", "file", "missing"])
def test_a_folder_without_a_run_is_named(runs: Path, given: str) -> None:
    with pytest.raises(NotFound, match=given):
        page.directories([runs / given])


def test_the_command_serves_until_it_is_ended(runs: Path) -> None:
    arguments = command("page", runs, "--port", 0)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=without_settings()) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        shown = httpx.get(f"{address}page/runs").text
        assert all(key in shown for key in ("demo@first", "demo@again", "other"))
        assert httpx.get(f"{address}page/runs", headers={"Host": "evil.example"}).status_code == 421
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 130


@pytest.mark.parametrize("taken", [False, True])
async def test_a_run_shows_its_page_at_the_usual_port_or_at_any_other(
    taken: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        if taken:
            other.listen()
        else:
            other.close()
        monkeypatch.setattr(page, "USUAL", port)
        async with page.beside(FastAPI(), "demo", shown=True):
            said = capsys.readouterr().err
            found = re.fullmatch(r"page: http://127\.0\.0\.1:(\d+)/page/runs/demo\n", said)
            assert found is not None, said
            assert (int(found[1]) == port) is not taken
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"http://127.0.0.1:{found[1]}/")).status_code == 404


async def test_a_run_that_is_not_to_be_shown_listens_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    async with page.beside(FastAPI(), "demo", shown=False):
        assert capsys.readouterr().err == ""
