"""Adapter versions come up proven, go one at a time, and never disturb what is served."""

import asyncio
from dataclasses import replace

import pytest

from archloop.errors import Unavailable
from services.generator.adapter_files import AdapterFiles
from services.generator.adapters import AdapterManager
from services.generator.errors import AdapterUnusable
from services.generator.lifecycle import State, Version
from tests.unit.generator.fakes import PROBE, TENSOR, TENSORS, matrix


async def test_a_good_adapter_is_loaded_and_proven(manager, backend, publisher):
    await manager.ensure(await publisher.publish())
    assert manager.active == ["code-v1"]
    assert backend.loaded.keys() == {"code-v1"}


async def test_ensuring_again_does_nothing_again(manager, backend, publisher):
    ref = await publisher.publish()
    await manager.ensure(ref)
    backend.down = True
    await manager.ensure(ref)
    assert manager.active == ["code-v1"]


async def test_many_at_once_load_it_once(manager, backend, publisher):
    ref = await publisher.publish()
    await asyncio.gather(*(manager.ensure(ref) for _ in range(10)))
    assert backend.most_loaded == 1


async def test_two_versions_stay_and_the_one_unused_longest_goes(manager, backend, publisher, cache):
    refs = [await publisher.publish(f"code-v{n}") for n in range(4)]
    for ref in refs[:3]:
        await manager.ensure(ref)
    assert manager.active == ["code-v1", "code-v2"]
    await manager.ensure(refs[1])
    await manager.ensure(refs[3])
    assert manager.active == ["code-v1", "code-v3"]
    assert backend.loaded.keys() == {"code-v1", "code-v3"}
    assert backend.most_loaded == 2
    assert len(list(cache.iterdir())) == 2


async def test_going_back_to_the_previous_version_loads_nothing(manager, backend, publisher):
    refs = [await publisher.publish(f"code-v{n}") for n in range(2)]
    for ref in refs:
        await manager.ensure(ref)
    backend.refuses = True
    await manager.ensure(refs[0])
    assert manager.active == ["code-v1", "code-v0"]


async def test_a_retired_version_can_be_brought_up_again(manager, backend, publisher):
    refs = [await publisher.publish(f"code-v{n}") for n in range(3)]
    for ref in (*refs, refs[0]):
        await manager.ensure(ref)
    assert manager.active == ["code-v2", "code-v0"]


async def test_a_pinned_version_is_not_unloaded_before_its_request_ends(manager, backend, publisher):
    refs = [await publisher.publish(f"code-v{n}") for n in range(3)]
    async with manager.pinned(refs[0]) as name:
        assert name == "code-v0"
        await manager.ensure(refs[1])
        third = asyncio.create_task(manager.ensure(refs[2]))
        await asyncio.sleep(0.02)
        assert not third.done()
        assert "code-v0" in backend.loaded
    await third
    assert backend.loaded.keys() == {"code-v1", "code-v2"}


async def test_without_adapter_nothing_is_pinned(manager):
    async with manager.pinned(None) as name:
        assert name is None


REJECTED = {
    "wrong base": ({"base_sha256": "f" * 64}, "trained on base model"),
    "manifest of another adapter": ({"adapter": "other"}, "'other'"),
    "pickle beside the weights": ({"files": {"adapter_model.bin": b"\x80\x04."}}, "adapter_model.bin"),
    "pickle instead of the weights": (
        {"files": {"adapter_model.safetensors": None, "adapter_model.bin": b"\x80\x04."}},
        "adapter_model.bin",
    ),
    "pickle under the name of the weights": ({"files": {"adapter_model.safetensors": b"\x80\x04."}}, "no safetensors"),
    "path outside of the folder": ({"files": {"../adapter_config.json": b"{}"}}, "../adapter_config.json"),
    "absolute path": ({"files": {"/etc/passwd": b"x"}}, "/etc/passwd"),
    "no configuration": ({"files": {"adapter_config.json": None}}, "adapter_config.json"),
    "configuration that is no JSON": ({"files": {"adapter_config.json": b"{"}}, "adapter_config.json"),
    "configuration without end": ({"files": {"adapter_config.json": b" " * 70_000}}, "70000 bytes are too many"),
    "huge weights": ({"tensors": TENSORS | {TENSOR.format("A"): matrix(8, 4000)}}, "bytes are too many"),
    "unservable rank": ({"config": {"r": 12}}, "r: "),
    "rank other than the manifest's": ({"config": {"r": 16}}, "r is 16, but 8"),
    "weights of another rank": ({"tensors": TENSORS | {TENSOR.format("B"): matrix(32, 4)}}, "no rank-8"),
    "weights of another module": (
        {"tensors": {f"lm_head.lora_{side}.weight": matrix(8, 8) for side in "AB"}},
        "lm_head",
    ),
    "whole weights": (
        {"tensors": TENSORS | {f"base.q_proj.{part}": matrix(8, 8) for part in ("weight", "bias")}},
        "base.q_proj.",
    ),
    "no weights": ({"tensors": {}}, "0 tensors"),
    "half a pair": ({"tensors": {TENSOR.format("A"): matrix(8, 32)}}, "no pairs"),
    "DoRA": ({"config": {"use_dora": True}}, "use_dora"),
    "saved modules": ({"config": {"modules_to_save": ["lm_head"]}}, "modules_to_save"),
    "bias": ({"config": {"bias": "all"}}, "bias"),
    "rank pattern": ({"config": {"rank_pattern": {"q_proj": 16}}}, "rank_pattern"),
    "some layers only": ({"config": {"layers_to_transform": [0]}}, "layers_to_transform"),
    "changed base": ({"config": {"init_lora_weights": "pissa"}}, "init_lora_weights"),
    "unknown variant of LoRA": ({"config": {"use_newest_trick": True}}, "use_newest_trick"),
    "other kind of adapter": ({"config": {"peft_type": "LOHA"}}, "peft_type"),
    "embedding as target": ({"config": {"target_modules": ["embed_tokens"]}}, "target_modules"),
}


@pytest.mark.parametrize("case", REJECTED)
async def test_an_unservable_adapter_is_rejected_and_the_active_one_serves_on(case, manager, backend, publisher, cache):
    await manager.ensure(await publisher.publish("code-v0"))
    wrong, reason = REJECTED[case]
    ref = await publisher.publish(**wrong)
    ref = ref.model_copy(update={"adapter": "code-v1"})
    with pytest.raises(AdapterUnusable) as refusal:
        await manager.ensure(ref)
    assert reason in str(refusal.value)
    assert not refusal.value.retryable
    assert manager.active == ["code-v0"]
    assert backend.loaded.keys() == {"code-v0"}
    assert [folder.name[:7] for folder in cache.iterdir()] == ["code-v0"]
    await manager.ensure(await publisher.publish("code-v2"))
    assert manager.active == ["code-v0", "code-v2"]


@pytest.mark.parametrize("file", ["0", "1", "manifest.json"])
async def test_a_corrupt_file_is_rejected(file, manager, publisher, tmp_path):
    ref = await publisher.publish()
    path = tmp_path / "blobs/adapters/code-v1" / file
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(AdapterUnusable, match="corrupt"):
        await manager.ensure(ref)


async def test_a_missing_file_is_rejected(manager, publisher, tmp_path):
    ref = await publisher.publish()
    (tmp_path / "blobs/adapters/code-v1/1").unlink()
    with pytest.raises(AdapterUnusable, match="adapters/code-v1/1"):
        await manager.ensure(ref)


@pytest.mark.parametrize(
    ("text", "logprob", "reason"),
    [
        (PROBE.base_text, PROBE.base_logprob, "as the base model does"),
        ("something else", PROBE.logprob, "not the trainer's"),
        (PROBE.text, PROBE.logprob - 0.2, "not the trainer's"),
    ],
)
async def test_an_adapter_that_fails_its_probe_is_rejected_and_unloaded(
    text, logprob, reason, manager, backend, publisher
):
    backend.proof = replace(backend.proof, text=text, logprob=logprob)
    with pytest.raises(AdapterUnusable, match=reason):
        await manager.ensure(await publisher.publish())
    assert not backend.loaded


async def test_a_character_that_the_probe_s_length_cuts_is_told_or_held_back(manager, backend, publisher):
    probe = PROBE.model_copy(update={"text": "tuned\ufffd\ufffd"})
    await manager.ensure(await publisher.publish("code-v1", probe=probe))
    backend.proof = replace(backend.proof, text="tuned\ufffd")
    await manager.ensure(await publisher.publish("code-v2", probe=probe))
    assert manager.active == ["code-v1", "code-v2"]


async def test_an_adapter_that_the_server_refuses_is_rejected_for_good(manager, backend, publisher):
    ref = await publisher.publish()
    backend.refuses = True
    with pytest.raises(AdapterUnusable, match="something that merges"):
        await manager.ensure(ref)
    backend.refuses = False
    with pytest.raises(AdapterUnusable, match="something that merges"):
        await manager.ensure(ref)


async def test_a_server_that_is_down_is_no_reason_to_reject(manager, backend, publisher, cache):
    ref = await publisher.publish()
    backend.down = True
    with pytest.raises(Unavailable):
        await manager.ensure(ref)
    assert list(cache.iterdir()) == []
    backend.down = False
    await manager.ensure(ref)
    assert manager.active == ["code-v1"]


async def test_a_server_that_goes_down_while_one_is_retired_is_asked_again(manager, backend, publisher):
    refs = [await publisher.publish(f"code-v{n}") for n in range(3)]
    for ref in refs[:2]:
        await manager.ensure(ref)
    backend.down = True
    with pytest.raises(Unavailable):
        await manager.ensure(refs[2])
    backend.down = False
    await manager.ensure(refs[2])
    assert manager.active == ["code-v1", "code-v2"]


async def of_a_later_run(publisher, **wrong):
    """Another adapter of the name `code-v1`."""
    other = await publisher.publish("code-v2", adapter="code-v1", **wrong)
    return other.model_copy(update={"adapter": "code-v1"})


async def test_another_run_s_adapter_of_the_name_takes_the_place_of_the_first_once_it_is_unused(
    manager, publisher, backend
):
    first = await publisher.publish()
    async with manager.pinned(first):
        folder = backend.loaded["code-v1"]
        later = asyncio.create_task(manager.ensure(await of_a_later_run(publisher)))
        await asyncio.sleep(0.02)
        assert not later.done()
        assert backend.loaded["code-v1"] == folder
    await later
    assert manager.active == ["code-v1"]
    assert backend.loaded["code-v1"] != folder
    await manager.ensure(first)
    assert backend.loaded["code-v1"] == folder


@pytest.mark.parametrize("wrong", [{"config": {"r": 12}}, {"base_sha256": "f" * 64}, {"tensors": {}}])
async def test_one_of_the_name_that_cannot_be_served_leaves_the_first_where_it_is(manager, publisher, backend, wrong):
    await manager.ensure(await publisher.publish())
    with pytest.raises(AdapterUnusable):
        await manager.ensure(await of_a_later_run(publisher, **wrong))
    assert manager.active == ["code-v1"]
    assert backend.loaded.keys() == {"code-v1"}


@pytest.mark.parametrize(
    "changed",
    [{"manifest": {"key": "elsewhere/adapter.json"}}, {"manifest": {"bytes": 7}}, {"base_model": "another"}],
    ids=["another key", "other bytes", "another base model"],
)
async def test_the_same_manifest_told_otherwise_is_the_adapter_that_is_served(manager, backend, publisher, changed):
    ref = await publisher.publish("run-c0")
    await manager.ensure(ref)
    manifest = ref.manifest.model_copy(update=changed.get("manifest", {}))
    told = ref.model_copy(update={"base_model": changed.get("base_model", ref.base_model), "manifest": manifest})
    folder = backend.loaded["run-c0"]
    await manager.ensure(told)
    assert told != ref
    assert (backend.loaded, folder.is_dir()) == ({"run-c0": folder}, True)


async def test_what_a_server_has_of_an_earlier_run_under_the_name_is_replaced(manager, publisher, backend, tmp_path):
    backend.loaded["code-v1"] = tmp_path / "of an earlier run"
    sound = backend.proof
    backend.proof = replace(sound, text="what the other one says")
    load = backend.load

    async def loaded(name, path):
        await load(name, path)
        backend.proof = sound

    backend.load = loaded
    await manager.ensure(await publisher.publish())
    assert backend.loaded["code-v1"] != tmp_path / "of an earlier run"


@pytest.mark.parametrize("damage", ["gone", "other bytes", "cut"])
@pytest.mark.parametrize("file", ["0", "1", "manifest.json"])
async def test_a_damaged_adapter_is_served_once_its_bytes_are_back(manager, publisher, tmp_path, damage, file):
    ref = await publisher.publish()
    path = tmp_path / "blobs/adapters/code-v1" / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] + (b"" if damage == "cut" else b"\xff"))
    for _ in range(2):
        with pytest.raises(AdapterUnusable, match=f"adapters/code-v1/{file}"):
            await manager.ensure(ref)
    path.write_bytes(content)
    await manager.ensure(ref)


async def test_files_that_an_earlier_process_left_are_not_trusted(backend, blobs, cache, publisher):
    ref = await publisher.publish()
    files = AdapterFiles(blobs, cache)
    files.folder(ref).mkdir(parents=True)
    (files.folder(ref) / "adapter_model.bin").write_bytes(b"left over")
    await AdapterManager(backend, files, max_bytes=100_000).ensure(ref)
    assert not (files.folder(ref) / "adapter_model.bin").exists()


async def test_a_restarted_server_is_given_back_what_it_lost_before_the_replica_is_ready(manager, backend, publisher):
    first, second = await publisher.publish(), await publisher.publish("code-v2")
    await manager.ensure(first)
    await manager.ensure(second)
    await manager.ping()
    backend.loaded.clear()
    with pytest.raises(Unavailable, match="given back code-v1, code-v2"):
        await manager.ping()
    async with asyncio.timeout(5):
        while backend.loaded.keys() != {"code-v1", "code-v2"}:
            await asyncio.sleep(0)
    await manager.ping()
    assert backend.adopted[-2:] == ["code-v1", "code-v2"], "each was proven again"


async def test_a_restart_is_told_from_a_server_that_is_away(manager, backend, publisher):
    await manager.ensure(await publisher.publish())
    backend.loaded.clear()
    backend.down = True
    with pytest.raises(Unavailable):
        await manager.ping()
    await asyncio.sleep(0.01)
    backend.down = False
    with pytest.raises(Unavailable):
        await manager.ping()


async def test_an_adapter_that_a_restarted_server_lost_comes_up_again(manager, backend, publisher):
    ref = await publisher.publish()
    await manager.ensure(ref)
    await manager.lost(ref)
    assert manager.active == ["code-v1"], "the server still has it"
    backend.loaded.clear()
    await manager.lost(ref)
    await manager.ensure(ref)
    assert backend.loaded.keys() == {"code-v1"}


@pytest.mark.parametrize(
    ("at", "to"),
    [
        (State.PUBLISHED, State.ACTIVE),
        (State.LOADED, State.ACTIVE),
        (State.ACTIVE, State.RETIRED),
        (State.ACTIVE, State.REJECTED),
        (State.REJECTED, State.FETCHED),
        (State.RETIRED, State.ACTIVE),
    ],
)
async def test_no_step_of_its_life_is_left_out(at, to, publisher):
    version = Version(await publisher.publish(), at)
    with pytest.raises(RuntimeError, match="no step"):
        version.move(to)
