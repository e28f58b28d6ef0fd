import pytest

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.adapter import AdapterManifest
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound, Unavailable
from archloop.models import fingerprint
from services.trainer import tuning
from services.trainer.handlers import TrainerHandler
from services.trainer.job import ADAPTER_FILES, WEIGHTS_FILE


class InlineTuner:
    """Real training, without the process around it."""

    def __init__(self):
        self.jobs = []

    async def tune(self, job):
        self.jobs.append(job)
        return tuning.tune(job, tuning.load(job.base_model), lambda _: None)


class DyingBlobs(DirectoryBlobs):
    """A store that goes away just before the manifest would be written."""

    async def put(self, key, content):
        if key.endswith("manifest.json"):
            raise Unavailable("the store went away")
        return await super().put(key, content)


@pytest.fixture
def tuner():
    return InlineTuner()


@pytest.fixture
def handler(blobs, tuner):
    return TrainerHandler(blobs, tuner)


async def _manifest(blobs, trained) -> AdapterManifest:
    return AdapterManifest.model_validate_json(await blobs.get(trained.adapter.manifest))


def _corrupt(tmp_path, ref):
    path = tmp_path / "blobs" / ref.key
    path.unlink()
    path.write_bytes(b"x" * ref.bytes)


async def test_an_adapter_is_published_with_everything_to_verify_and_repeat_it(handler, blobs, request_for, pairs):
    message = await request_for()
    (trained,) = await handler.handle(message)
    manifest = await _manifest(blobs, trained)
    assert set(await blobs.list("adapters/")) == {
        f"adapters/r1-c0/{name}" for name in (*ADAPTER_FILES, "manifest.json")
    }
    for ref in manifest.files.values():
        await blobs.get(ref)
    assert manifest.base_sha256 == fingerprint(message.base_model)
    assert manifest.pairs_sha256 == message.pairs.sha256
    assert (manifest.seed, manifest.parent, manifest.pair_count) == (7, None, len(pairs))
    assert manifest.probe.prompt == pairs[0].prompt
    assert (trained.cycle, trained.pair_count, trained.loss_curve) == (0, len(pairs), manifest.loss_curve)


async def test_the_same_request_again_announces_without_training(handler, tuner, request_for):
    message = await request_for()
    (first,) = await handler.handle(message)
    (second,) = await handler.handle(message)
    assert len(tuner.jobs) == 1
    untimed = {"seconds": 0.0, "tokens_per_second": 0.0}
    assert second == first.model_copy(update=untimed)
    assert second.id == first.id


async def test_a_name_is_never_used_for_other_pairs(handler, blobs, request_for):
    await handler.handle(await request_for())
    other = await blobs.put("pairs/other.jsonl", b'{"prompt": "p", "completion": "c"}\n')
    with pytest.raises(Conflict, match="r1-c0"):
        await handler.handle(await request_for(pairs=other))


@pytest.mark.parametrize("name", ["", "Upper", "a--b", "-a", "a/../b", "a" * 64])
async def test_a_name_that_no_server_takes_is_refused(handler, request_for, name):
    with pytest.raises(InvalidInput, match="adapter"):
        await handler.handle(await request_for(adapter=name))


async def test_a_crash_before_the_manifest_leaves_no_adapter_and_is_trained_again(
    tmp_path, handler, tuner, blobs, request_for
):
    message = await request_for()
    with pytest.raises(Unavailable):
        await TrainerHandler(DyingBlobs(tmp_path / "blobs"), tuner).handle(message)
    assert f"adapters/r1-c0/{WEIGHTS_FILE}" in await blobs.list("adapters/")
    (trained,) = await handler.handle(message)
    assert len(tuner.jobs) == 2
    assert (await _manifest(blobs, trained)).files[WEIGHTS_FILE].key == f"adapters/r1-c0/{WEIGHTS_FILE}"


async def test_files_that_another_machine_left_without_a_manifest_are_stepped_around(handler, blobs, request_for):
    await blobs.put(f"adapters/r1-c0/{WEIGHTS_FILE}", b"other bytes, from a trainer that died")
    (trained,) = await handler.handle(await request_for())
    weights = (await _manifest(blobs, trained)).files[WEIGHTS_FILE]
    assert weights.key == f"adapters/r1-c0/{weights.sha256[:12]}/{WEIGHTS_FILE}"
    await blobs.get(weights)


async def test_the_parent_is_continued_and_named(handler, tuner, blobs, request_for):
    (parent,) = await handler.handle(await request_for())
    (child,) = await handler.handle(await request_for(adapter="r1-c1", cycle=1, parent=parent.adapter))
    assert (await _manifest(blobs, child)).parent == "r1-c0"
    assert child.loss_curve[0] < parent.loss_curve[0]


@pytest.mark.parametrize("part", ["manifest", WEIGHTS_FILE])
async def test_a_corrupt_parent_is_a_permanent_error(tmp_path, handler, tuner, blobs, request_for, part):
    (parent,) = await handler.handle(await request_for())
    manifest = await _manifest(blobs, parent)
    _corrupt(tmp_path, parent.adapter.manifest if part == "manifest" else manifest.files[part])
    with pytest.raises(IntegrityError) as caught:
        await handler.handle(await request_for(adapter="r1-c1", cycle=1, parent=parent.adapter))
    assert not caught.value.retryable
    assert len(tuner.jobs) == 1


async def test_a_parent_of_another_base_model_is_refused(handler, blobs, request_for):
    (parent,) = await handler.handle(await request_for())
    with pytest.raises(Conflict, match="was tuned on base model"):
        await handler.handle(await request_for(adapter="r1-c1", base_model="another", parent=parent.adapter))


async def test_pairs_that_are_gone_are_a_permanent_error(tmp_path, handler, request_for):
    message = await request_for()
    (tmp_path / "blobs" / message.pairs.key).unlink()
    with pytest.raises(NotFound):
        await handler.handle(message)
