"""The embedded loop with every kind of work by turns, as on a GPU that holds one of them: real services, on the CPU."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from archloop import presets
from archloop_cli import layout
from archloop_cli.embedded import composed
from archloop_cli.layout import Layout
from archloop_cli.turns import Turns
from archloop_lab.placement import Placement, Role, Seat

pytestmark = [pytest.mark.timeout(400), pytest.mark.slow]
ALONE = frozenset(frozenset({one, other}) for one in Role for other in Role if one != other)


class Recorded(Turns):
    """Turns that tell who worked beside whom, and whether the model server was there meanwhile."""

    def __init__(self, backend) -> None:
        super().__init__(ALONE, {Role.SERVE: backend.stop}, linger_s=0.2)
        self.backend, self.now, self.seen = backend, [], set()

    @asynccontextmanager
    async def held(self, role):
        async with super().held(role):
            self.now.append(role)
            self.seen.add((frozenset(self.now), role is not Role.SERVE and self.backend.started))
            try:
                yield
            finally:
                self.now.remove(role)


@pytest.mark.thorough
async def test_a_whole_run_by_turns_ends_as_any_other(tmp_path, monkeypatch):
    starts, spawned = [], layout.spawned

    def counted(model, **options):
        starts.append(model)
        return spawned(model, **options)

    monkeypatch.setattr(layout, "spawned", counted)
    spec = presets.load("demo").model_dump() | {"protocol": "digits", "cycles": 2, "candidates": 4}
    spec["training"]["minimum_steps"] = 40
    spec = presets.checked(spec, source="test")
    placement = Placement("cpu", tuple(Seat(role, None) for role in Role), turns=ALONE)
    laid_out = Layout(placement, spec, tmp_path)
    turns = Recorded(laid_out.backend)
    monkeypatch.setattr(Layout, "turns", lambda _: turns)
    async with composed(tmp_path, laid_out) as loop:
        await loop.request("turns", spec)
        while (reason := await loop.finished("turns")) is None:
            await asyncio.sleep(0.1)
        assert await loop.bus.parked() == []
    assert reason == "completed"
    assert turns.seen == {(frozenset({role}), False) for role in Role}, "each alone, the others without the server"
    assert len(starts) >= 2, "started again for the adapter"
