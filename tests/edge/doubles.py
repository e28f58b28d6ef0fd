"""Stand-ins for what takes seconds: the services of an embedded run, the sandbox, drawing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from archloop.bus.parking import ParkingLot
from archloop.contracts.messages import RunRequested
from archloop.contracts.values import Evaluation, sha256_of
from archloop_cli import embedded, runs, scoring
from archloop_lab import rescoring
from archloop_lab.report import figure
from archloop_lab.run_directory import RunDirectory
from services.evaluator import doctor
from services.registry.stores.sqlite import SqliteStore


def install() -> None:
    """For the rest of the process."""
    _stand_in("composed", _composed, runs, embedded)
    _stand_in("opened_evaluator", _opened_evaluator, rescoring, scoring)
    _stand_in("svg", lambda *_, **__: "<svg></svg>", figure.Drawing)
    _stand_in("report", lambda: [SimpleNamespace(name="seccomp", ok=True, detail="double", needed=True)], doctor)


def _stand_in(name: str, double: Any, *places: Any) -> None:
    """Where nothing has the name any more, the real thing would run beside a double that nobody calls."""
    for place in places:
        assert hasattr(place, name), f"{place} has no {name}"
        setattr(place, name, double)


class Endless:
    """Whether runs go on for ever."""

    on = False


class _Loop:
    def __init__(self, directory: Path, store: SqliteStore) -> None:
        self.store, self._lot = store, ParkingLot(directory / "parked")
        self.bus = self
        self.rejected: list[Any] = []
        self.api = FastAPI()

    async def request(self, run_id: str, spec: Any) -> None:
        await self.store.record(RunRequested(run_id=run_id, spec=spec), datetime.now(UTC))

    async def finished(self, _: str) -> str | None:
        return None if Endless.on else "completed"

    async def parked(self) -> list[Any]:
        return self._lot.list()

    async def replay(self, *ids: str) -> None:
        for each in ids:
            self._lot.take(each)

    async def settled(self) -> None: ...


@asynccontextmanager
async def _composed(directory: Path, layout: Any) -> AsyncIterator[_Loop]:
    assert layout.spec.base_model
    store = RunDirectory(directory).store()
    try:
        yield _Loop(directory, store)
    finally:
        await store.close()


class _Evaluator:
    secret = SimpleNamespace(id="0" * 16)

    async def evaluate(self, code: str, protocol: Any) -> Evaluation:
        return Evaluation(
            outcome="ok",
            stage="predict",
            protocol=protocol.name,
            protocol_sha256=protocol.sha256,
            code_sha256=sha256_of(code),
            accuracy=0.5,
            seconds=1.0,
            sandbox_level="namespaces",
            heldout_id="0" * 16,
        )


@asynccontextmanager
async def _opened_evaluator(_: Any) -> AsyncIterator[_Evaluator]:
    yield _Evaluator()
