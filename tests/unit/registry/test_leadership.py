"""Of several registries one leads: whoever renews the lease by its own clock, whatever others' clocks say."""

from pathlib import Path

import pytest

from archloop.bus.memory import MemoryBus
from archloop.bus.port import BusUnavailable
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import RunFinished
from archloop.contracts.topology import QUEUES, REGISTRY
from archloop.errors import Unavailable
from services.registry.control.active import Active, Speaker
from services.registry.control.controller import Controller
from services.registry.control.leadership import Leased
from services.registry.handlers import RegistryHandler
from services.registry.stores.control_port import Lease
from services.registry.stores.sqlite import SqliteStore
from tests.unit.registry.world import World

LEASE_S = 10.0


class Hour:
    """A monotonic clock, which tells nothing of the time of day."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Field:
    """Some registries on one database, each with a clock of its own that begins anywhere."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self.store = SqliteStore(folder / "registry.sqlite")
        self.clocks = [Hour(1e6 * n) for n in range(count)]
        self.registries = [Leased(self.store, LEASE_S, clock) for clock in self.clocks]

    async def pass_by(self, seconds: float, *but: int) -> None:
        """Time passes second by second, and all that are not frozen or dead have their turns."""
        for _ in range(int(seconds)):
            for n, (registry, clock) in enumerate(zip(self.registries, self.clocks, strict=True)):
                clock.now += 1
                if n not in but:
                    await registry.campaign()
            assert len(self.leaders) <= 1

    @property
    def leaders(self) -> list[int]:
        return [n for n, registry in enumerate(self.registries) if registry.leading]


@pytest.fixture
def field(tmp_path: Path) -> Field:
    return Field(tmp_path)


async def test_the_first_one_leads_and_goes_on(field: Field) -> None:
    await field.pass_by(100)
    assert field.leaders == [0]


@pytest.mark.parametrize("dead", [(0,), (0, 1), (0, 2)])
async def test_another_takes_over_within_two_leases_of_the_last_renewal(field: Field, dead: tuple[int, ...]) -> None:
    await field.pass_by(5)
    await field.pass_by(2 * LEASE_S, *dead)
    (leader,) = field.leaders
    assert leader not in dead


async def test_one_that_wakes_knows_at_once_that_it_leads_no_more(field: Field) -> None:
    await field.pass_by(5)
    await field.pass_by(2 * LEASE_S, 0)
    assert not field.registries[0].leading
    await field.registries[0].campaign()
    assert field.leaders == [1]


async def test_one_that_hands_the_lease_back_is_followed_at_once(field: Field) -> None:
    await field.pass_by(5)
    await field.registries[0].resign()
    assert field.leaders == []
    await field.registries[1].campaign()
    assert field.leaders == [1]


async def test_who_does_not_lead_has_nothing_to_hand_back(field: Field) -> None:
    await field.pass_by(5)
    await field.registries[1].resign()
    assert field.leaders == [0]
    await field.registries[1].campaign()
    assert field.leaders == [0]


async def test_a_renewal_of_which_the_answer_was_lost_is_found_out(field: Field) -> None:
    await field.pass_by(5)
    first = field.registries[0]
    own = await field.store.lease()
    assert own is not None
    await field.store.take(own, own.holder)
    await first.campaign()
    assert not first.leading, "it cannot know who was faster"
    await first.campaign()
    assert field.leaders == [0]


async def test_nobody_leads_on_a_lease_that_cannot_be_renewed(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    await field.pass_by(5)

    async def away(seen: Lease | None, holder: str) -> Lease | None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(field.store, "take", away)
    for _ in range(int(LEASE_S)):
        assert field.leaders == [0]
        field.clocks[0].now += 1
        with pytest.raises(Unavailable):
            await field.registries[0].campaign()
    assert field.leaders == []


async def active(world: World, leadership: Leased) -> tuple[Active, MemoryBus]:
    bus = MemoryBus()
    for queue in QUEUES:
        await bus.declare(queue)
    handler = RegistryHandler(world.store, world.controller)
    made = Active(
        leadership,
        lambda: Speaker(bus, REGISTRY, handler, "registry", leadership=leadership),
        Controller(world.store, world.blobs),
    )
    return made, bus


async def test_a_standby_is_alive_consumes_nothing_and_says_nothing(tmp_path: Path) -> None:
    world, clock = World(tmp_path), Hour(0.0)
    leader = Leased(world.store, LEASE_S, clock)
    standby = Leased(world.store, LEASE_S, clock)
    await leader.campaign()
    made, bus = await active(world, standby)
    await made.turn()
    assert made.alive
    assert await bus.consumers(REGISTRY) == 0
    await leader.resign()
    await made.turn()
    assert (made.alive, await bus.consumers(REGISTRY)) == (True, 1)
    clock.now += LEASE_S
    assert made.speaker is not None
    speaker = made.speaker
    with pytest.raises(BusUnavailable, match="another registry leads"):
        await speaker.emit([RunFinished(run_id="r", reason="x")])
    with pytest.raises(BusUnavailable, match="another registry leads"):
        await speaker.say(Envelope.of(RunFinished(run_id="r", reason="x"), source="test"))
    assert await bus.depth(REGISTRY) == 0


async def test_one_that_lost_its_lease_to_another_ends_its_consumer(tmp_path: Path) -> None:
    world, clock = World(tmp_path), Hour(0.0)
    other = Leased(world.store, LEASE_S, Hour(0.0))
    made, bus = await active(world, Leased(world.store, LEASE_S, clock))
    await made.turn()
    assert await bus.consumers(REGISTRY) == 1
    lease = await world.store.lease()
    await world.store.take(lease, "another")
    await made.turn()
    assert await bus.consumers(REGISTRY) == 0
    assert made.alive
    assert not other.leading
