"""What every level of the sandbox must do: one suite, run at each level that this machine gives.

A new level, or another implementation of the port, is added to `sandbox` and has to pass as it is.
"""

import asyncio
import os
import signal
from dataclasses import replace

import pytest
import pytest_asyncio

from archloop.contracts.values import SandboxLevel
from archloop.errors import SandboxUnavailable, Unavailable
from services.evaluator.evaluator import Evaluator
from services.evaluator.harness import frames
from services.evaluator.sandbox import client
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.sandbox.port import STDOUT_TAIL
from services.evaluator.training import whole
from tests.escape.arena import skip_or_fail
from tests.support import slots
from tests.unit.evaluator.support import GOOD, HELDOUT, LIMITS, TINY, good, quadrants

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

COUNTED = """
        raise ValueError(f"{sum(len(labels) for _, labels in train_data)} images")
        for inputs, labels in train_data:
""".strip("\n")
SHORT = LIMITS.model_copy(update={"cpu_seconds": 1.0, "wall_seconds": 2.0})

_ELSEWHERE = {
    SandboxLevel.PROCESS: "tests/escape/test_users_and_levels.py runs this suite as an ordinary user",
    SandboxLevel.CONTAINER: "run this suite inside the evaluator's own container",
}


def _without_namespaces(patch: pytest.MonkeyPatch) -> None:
    """As on a kernel that gives none."""
    launch = client.launch

    def refused(*, namespaces: bool, **how):
        if namespaces:
            raise SandboxUnavailable("no namespaces here")
        return launch(namespaces=False, **how)

    patch.setattr(client, "launch", refused)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["process", "namespaces", "container"])
async def sandbox(request):
    level = SandboxLevel(request.param)
    with pytest.MonkeyPatch.context() as patch:
        if level is SandboxLevel.PROCESS:
            _without_namespaces(patch)
        sandbox = ForkServerSandbox(slots(request.config, 2), level)
        try:
            await sandbox.start()
        except SandboxUnavailable as error:
            await sandbox.close()
            if level is SandboxLevel.NAMESPACES:
                skip_or_fail(str(error))
            pytest.skip(f"{_ELSEWHERE[level]}: {error}")
        yield sandbox
        await sandbox.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(sandbox):
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    material = await evaluator._material(TINY.dataset)
    heldout = evaluator._heldout(material.dataset, TINY, "0" * 64)

    async def one(code: str, limits=LIMITS):
        protocol = TINY.model_copy(update={"limits": limits})
        return await sandbox.run(evaluator._job(code, material, heldout, whole(protocol)))

    yield one
    heldout.images.close()
    await evaluator.close()


async def test_an_honest_network_ends_with_predictions_an_outcome_and_its_graph(run):
    told = await run(GOOD)
    kinds = [frame.kind for frame in frames.unpack(told.frames)]
    assert (told.exit, told.signal, told.killed_by) == (0, None, None)
    assert kinds == [frames.STAGE] * 6 + [frames.PREDICTIONS, frames.OUTCOME, frames.GRAPH]


@pytest.mark.parametrize(("first", "seen"), [(None, 256), (256, 256), (200, 200), (24, 24), (17, 16), (2, 2)])
async def test_a_rung_of_a_ladder_shows_the_first_images_only(sandbox, first, seen):
    counted = GOOD.replace("        for inputs, labels in train_data:", COUNTED)
    evaluator = Evaluator(sandbox, quadrants, HELDOUT)
    material = await evaluator._material(TINY.dataset)
    heldout = evaluator._heldout(material.dataset, TINY, "0" * 64)
    training = replace(whole(TINY), images=first or TINY.dataset.train)
    told = await sandbox.run(evaluator._job(counted, material, heldout, training))
    heldout.images.close()
    await evaluator.close()
    assert f"{seen} images".encode() in told.frames


async def test_the_parent_measures_time_and_memory(run):
    hungry = good(before="import torch\nkept = torch.ones(100 << 20, dtype=torch.uint8)")
    modest, hungry = await run(GOOD), await run(hungry)
    assert 0 < modest.cpu <= modest.wall + 0.1
    assert hungry.peak_memory - modest.peak_memory > 80 << 20


async def test_every_stages_announcement_is_timed_by_the_parent(run):
    told = await run(GOOD)
    seconds = [told.seconds_until(frame.end) for frame in frames.unpack(told.frames)]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= told.wall + 1


@pytest.mark.parametrize(
    ("statement", "killed_by"),
    [("while True: pass", "cpu"),
     ("sum(range(10**18))", "cpu"),
     ("import time; time.sleep(1000)", "wall"),
     ("import sys\nwhile True: sys.stdout.buffer if 0 else __import__('os').write(1, b'x' * 4096)", "output")],
)  # fmt: skip
async def test_each_limit_kills_and_is_named(run, statement, killed_by):
    told = await run(good(before=statement), SHORT)
    assert (told.exit, told.killed_by) == (None, killed_by)


async def test_a_crash_is_told_from_a_kill(run):
    told = await run(good(before="__import__('ctypes').string_at(0)"))
    assert (told.exit, told.signal, told.killed_by) == (None, signal.SIGSEGV, None)


async def test_an_exit_status_is_reported_as_it_is(run):
    told = await run(good(before="import os\nos._exit(7)"))
    assert (told.exit, told.signal) == (7, None)


async def test_of_output_the_last_part_is_kept(run):
    told = await run(good(before="print('a' * 5000)\nprint('the end')"))
    assert told.exit == 0
    assert len(told.stdout) <= STDOUT_TAIL
    # What a test writes of itself goes past the buffer, once more where the graph is followed.
    assert told.stdout.replace(b"<<ran before >>", b"").endswith(b"the end\n")
    assert told.stdout.count(b"the end") == 1


async def test_more_frames_than_allowed_are_not_kept(run):
    flood = "import os\nwhile True: os.write(3, bytes(65536))"
    told = await run(good(before=flood))
    assert told.killed_by == "output"
    assert len(told.frames) < 1 << 20


async def test_no_environment_no_socket_and_no_file_to_write(run):
    look = """
import os
assert dict(os.environ) == {"TORCHDYNAMO_DISABLE": "1"}
for attempt in (lambda: __import__("socket").socket(), lambda: open("/usr/lib/x", "w"), lambda: os.fork()):
    try:
        attempt()
    except (OSError, ImportError):
        continue
    raise SystemExit("it could")
"""
    told = await run(good(before=look))
    assert b'"ok"' in told.frames, told.frames


async def test_a_cancelled_job_is_gone_and_its_slot_free(run):
    running = [asyncio.ensure_future(run(good(before="import time; time.sleep(1000)"))) for _ in range(2)]
    await asyncio.sleep(0.5)
    for job in running:
        job.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert (await asyncio.wait_for(run(GOOD), 60)).exit == 0


async def test_a_fork_server_that_dies_is_nobodys_outcome_and_is_replaced(sandbox, run):
    running = asyncio.ensure_future(run(good(before="import time; time.sleep(1000)")))
    await asyncio.sleep(0.5)
    os.kill(sandbox.pid, 9)
    with pytest.raises(Unavailable):
        await running
    assert (await run(GOOD)).exit == 0
