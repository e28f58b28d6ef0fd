import pytest

from archloop.adapters import ADAPTER_FILES, WEIGHTS_FILE
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.values import AdapterRef, BlobRef
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound, Unavailable
from archloop.models import fingerprint
from services.trainer import publishing, tuning
from services.trainer.handlers import TrainerHandler

UNTIMED = {"seconds": 0.0, "tokens_per_second": 0.0}
MANIFEST = BlobRef(key="m", sha256="0" * 64, bytes=1)


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
    assert second == first.model_copy(update=UNTIMED)
    assert second.id == first.id


OTHERS = {
    "pairs": lambda fields: {"pairs": fields["pairs"]},
    "learning rate": lambda fields: {"training": fields["spec"].model_copy(update={"learning_rate": 2e-3})},
    "epochs": lambda fields: {"training": fields["spec"].model_copy(update={"epochs": 1})},
    "rank": lambda fields: {"training": fields["spec"].model_copy(update={"r": 16})},
    "seed": lambda _: {"seed": 8},
    "parent": lambda fields: {"parent": fields["parent"]},
}


@pytest.mark.parametrize("what", OTHERS)
async def test_what_an_earlier_run_left_under_the_name_is_stepped_around(
    handler, blobs, tuner, request_for, spec, pairs, what
):
    (first,) = await handler.handle(await request_for())
    other = await blobs.put("pairs/other.jsonl", f"{pairs[0].model_dump_json()}\n".encode())
    fields = OTHERS[what]({"pairs": other, "spec": spec, "parent": first.adapter})
    (second,) = await handler.handle(await request_for(**fields))
    assert second.adapter.adapter.startswith("r1-c0-")
    assert second.adapter.manifest != first.adapter.manifest
    assert await handler.handle(await request_for(**fields)) == [second.model_copy(update=UNTIMED)]
    assert await handler.handle(await request_for()) == [first.model_copy(update=UNTIMED)]
    assert len(tuner.jobs) == 2


@pytest.mark.parametrize("part", ["manifest", "no manifest of ours", "another's manifest", *ADAPTER_FILES, "gone"])
async def test_a_damaged_adapter_is_trained_anew_under_another_name(tmp_path, handler, blobs, tuner, request_for, part):
    (first,) = await handler.handle(await request_for())
    manifest = await _manifest(blobs, first)
    path = tmp_path / "blobs" / first.adapter.manifest.key
    match part:
        case "manifest":
            path.write_bytes(path.read_bytes()[:-20])
        case "no manifest of ours":
            path.write_text("{}")
        case "another's manifest":
            path.write_text(manifest.model_copy(update={"adapter": "r2-c0"}).model_dump_json())
        case "gone":
            (tmp_path / "blobs" / manifest.files[WEIGHTS_FILE].key).unlink()
        case _:
            _corrupt(tmp_path, manifest.files[part])
    (second,) = await handler.handle(await request_for())
    assert len(tuner.jobs) == 2
    assert (second.adapter.adapter == "r1-c0") is False
    for ref in (await _manifest(blobs, second)).files.values():
        await blobs.get(ref)


@pytest.mark.parametrize("length", [1, 30, 54, 55, 62, 63])
def test_every_name_that_a_training_may_go_by_is_one_that_servers_take(length):
    name = ("ab-" * 21)[:length].rstrip("-")
    known = list(publishing.names(name, "0123456789abcdef" * 4))
    assert len(set(known)) == len(known) == 10
    for each in known:
        AdapterRef(adapter=each, manifest=MANIFEST, base_model="tiny")


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
