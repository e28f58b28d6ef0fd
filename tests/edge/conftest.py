"""A server that forks the command, and a folder with one of everything that a command may be given."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from archloop import protocols
from archloop.bus.parking import ParkingLot
from archloop.bus.port import Parked
from archloop_lab import manifests, run_report
from archloop_lab.lemur import curating
from archloop_lab.lemur.corpus import Corpus
from archloop_lab.lemur.importing import into
from archloop_lab.lemur.sources import opened
from archloop_lab.run_directory import RunDirectory
from archloop_lab.study import plan
from tests.support import SMALL, without_settings
from tests.unit.evaluator import miniature as evaluator
from tests.unit.lemur import miniature
from tests.unit.registry.world import RUN, World, spec

ROOT = Path(__file__).parents[2]
STUDY = """
name: mine
question: Does it hold?
preset: demo
seeds: [0]
settings: {protocol: digits, cycles: 1, candidates: 2}
variants: {loop: {}, frozen: {frozen: true}}
control: frozen
"""


class Ended(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


class Server:
    """See tests/edge/server.py."""

    def __init__(self) -> None:
        env = without_settings() | {"OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.edge.server"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(
        self,
        args: Sequence[object],
        cwd: Path,
        before: Sequence[tuple[str, Sequence[Any]]] = (),
        env: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> Ended:
        """The command, to its end."""
        given = without_settings() | {"HOME": str(cwd), "TMPDIR": tempfile.gettempdir()} | dict(env or {})
        request = {
            "args": [base64.b64encode(os.fsencode(str(each))).decode() for each in args],
            "cwd": str(cwd),
            "env": {name: value for name, value in given.items() if value is not None},
            "before": before,
        }
        self._process.stdin.write(json.dumps(request | options).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        out, err = (base64.b64decode(answer[name]).decode("utf-8", "replace") for name in ("out", "err"))
        return Ended(answer["code"], out, err)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def _world(tmp_path_factory):
    """Made once: a finished run, one that goes on, a study that has ended, a corpus, sources, a preset."""
    folder = tmp_path_factory.mktemp("world")
    asyncio.run(_finished(folder / "exp"))
    asyncio.run(run_report.write(RunDirectory(folder / "exp")))
    asyncio.run(_going(folder / "going"))
    (folder / "study.yaml").write_text(STUDY)
    for cell in plan.load(str(folder / "study.yaml")).cells():
        shutil.copytree(folder / "exp", folder / "study" / cell.name)
    (folder / "small.yaml").write_text(yaml.safe_dump(yaml.safe_load(SMALL.format(cycles=1, candidates=2, seed=3))))
    (folder / "nets").mkdir()
    (folder / "nets/a.py").write_text(miniature.PLAIN)
    (folder / "nets/b.py").write_text(miniature.RESIDUAL)
    (folder / "pairs.jsonl").write_text('{"prompt": "p", "completion": "c"}\n')
    miniature.folder(folder / "lemur")
    corpus = Corpus(folder / "lemur.corpus")
    into(corpus, opened(folder / "lemur"), lambda *_: None)
    corpus.curate(curating.curate(corpus.preferred(), 0.9, 5, "kept", lambda *_: None))
    corpus.close()
    evaluator.image_folder(folder / "images", side=8)
    (folder / "old.env").write_text("ARCHLOOP_HELDOUT_SECRET=kept\n")
    lot = ParkingLot(folder / "exp/parked")
    for number in range(2):
        lot.put(
            Parked(
                id=f"{number}abc",
                queue="novelty",
                reason="no\x1b[31m [/b]\nreason",
                stack="a\nb",
                body=b"{}",
                first_failed=datetime(2026, 9, 1, tzinfo=UTC),
            )
        )
    return folder


async def _finished(directory: Path) -> None:
    world = World(directory)
    await world.request(spec(candidates=6, protocol="digits"))
    await world.run_to_end()
    await world.store.close()
    content = manifests.content_of(RUN, spec(candidates=6, protocol="digits"))
    manifests.write(
        RunDirectory(directory).manifest_file, content | {"protocol": protocols.load("digits").model_dump(mode="json")}
    )


async def _going(directory: Path) -> None:
    world = World(directory)
    await world.request(spec(candidates=6, protocol="digits"))
    while len(await world.store.cycles(RUN)) < 2:
        await world.deliver()
    await world.store.close()


@pytest.fixture
def world(_world, tmp_path):
    """A copy of it, for one case."""
    folder = tmp_path / "w"
    shutil.copytree(_world, folder)
    yield folder
    for each in (folder, *folder.glob("*")) if folder.exists() else ():
        each.chmod(0o755)
