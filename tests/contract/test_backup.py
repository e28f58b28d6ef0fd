"""What the registry has on record survives as files, and comes back as it was, with the real adapters."""

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import AsyncMongoClient

from archloop.blobs.minio import Bucket, MinioBlobs
from archloop.contracts.messages import CandidateEvaluatedOk, CandidateGenerated, CandidateJudged, RunRequested
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import BlobRef, Evaluation, Outcome, SourceCode, Verdict
from archloop.errors import Conflict, IntegrityError, NotFound
from services.registry.backup import Places, prune, restore, save
from services.registry.stores.mongo import MongoStore

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACE = {"run_id": "r", "cycle": 0, "index": 0}
CODE = SourceCode.inline("code")
EVALUATION = Evaluation(
    outcome=Outcome.OK,
    stage="train",
    protocol="digits",
    protocol_sha256="a" * 64,
    code_sha256=CODE.sha256,
    accuracy=0.5,
    sandbox_level="container",
)


class Side:
    """A registry's two stores, new and empty, and how to look into them."""

    def __init__(self, mongo_url, s3, folder):
        self.name = f"t-{uuid.uuid4().hex}"
        self.url, self.s3 = mongo_url, s3
        self.client = AsyncMongoClient(mongo_url, tz_aware=True)
        self.blobs = MinioBlobs(Bucket(s3.endpoint, self.name, s3.access_key, s3.secret_key))
        self.places = Places(self.client[self.name], self.blobs, folder)

    async def fill(self):
        store = await MongoStore.open(self.url, self.name)
        await store.record(RunRequested(run_id="r", spec=RunSpec(cycles=1, candidates=1, protocol="digits")), AT)
        await store.open_cycle("r", 0, None, AT)
        await store.record(CandidateGenerated(**PLACE, code=CODE, prompt="write \u2028 so", protocol="digits"), AT)
        await store.record(CandidateEvaluatedOk(**PLACE, code=CODE, evaluation=EVALUATION), AT)
        judged = CandidateJudged(**PLACE, verdict=Verdict.NOVEL, similarity=0.25, threshold=0.85, family="plain")
        await store.record(judged, AT)
        await store.close()
        await self.blobs.put("pairs/r-c0.jsonl", b"pairs")
        await self.blobs.put("code/" + CODE.sha256, b"code")

    async def documents(self):
        names = await self.places.database.list_collection_names()
        return {name: [row async for row in self.places.database[name].find().sort("_id")] for name in sorted(names)}

    async def objects(self):
        keys = await self.blobs.list("")
        return {key: await self.blobs.get(await self.blobs.find(key)) for key in keys}


@pytest.fixture
async def make_side(mongo_url, s3, tmp_path):
    sides = []

    async def make(folder=tmp_path / "backup"):
        side = Side(mongo_url, s3, folder)
        sides.append(side)
        await side.blobs.ensure_bucket()
        await (await MongoStore.open(mongo_url, side.name)).close()
        return side

    yield make
    for side in sides:
        await side.client.close()


async def test_what_was_saved_comes_back_as_it_was(make_side):
    before, after = await make_side(), await make_side()
    await before.fill()
    await save(before.places, AT)
    await restore(after.places)
    assert await after.documents() == await before.documents()
    assert await after.objects() == await before.objects()
    assert len((await before.documents())["events"]) == 4
    store = await MongoStore.open(after.url, after.name)
    assert (await store.run("r")) is not None
    await store.close()


async def test_the_latest_comes_back_and_earlier_ones_stay(make_side):
    before, after = await make_side(), await make_side()
    await before.fill()
    first = await save(before.places, AT)
    await before.places.database.runs.update_one({"_id": "r"}, {"$set": {"finished": "later"}})
    second = await save(before.places, AT + timedelta(hours=1))
    assert await restore(after.places) == second
    assert first.is_dir()
    assert (await after.documents())["runs"][0]["finished"] == "later"


async def test_as_many_as_are_wanted_are_kept_and_the_latest_comes_back(make_side):
    before, after = await make_side(), await make_side()
    await before.fill()
    saved = [await save(before.places, AT + timedelta(hours=hours)) for hours in range(4)]
    assert prune(before.places.folder, 2) == saved[:2]
    assert [path.is_dir() for path in saved] == [False, False, True, True]
    assert prune(before.places.folder, 2) == []
    assert await restore(after.places) == saved[-1]
    assert await after.objects() == await before.objects()


async def test_one_that_was_cut_short_is_as_none(make_side, tmp_path):
    side = await make_side()
    (tmp_path / "backup" / "documents" / ".20260101T120000Z").mkdir(parents=True)
    with pytest.raises(NotFound, match="backup"):
        await restore(side.places)


async def test_nothing_is_restored_over_what_is_there(make_side):
    side = await make_side()
    await side.fill()
    await save(side.places, AT)
    before = await side.documents()
    with pytest.raises(Conflict, match="restore into a database of another name"):
        await restore(side.places)
    assert await side.documents() == before


async def test_an_object_that_was_spoilt_at_the_source_is_told(make_side, s3):
    side = await make_side()
    ref = await side.blobs.put("a", b"right")
    side.blobs._client.remove_object(side.name, "a")
    spoilt = BlobRef(key="a", sha256=ref.sha256, bytes=5)
    side.blobs._put_new(spoilt, b"wrong")
    with pytest.raises(IntegrityError, match="'a' is corrupt"):
        await save(side.places, AT)


async def test_the_command_takes_the_registrys_own_settings(make_side, tmp_path):
    before, after = await make_side(), await make_side()
    await before.fill()
    for side, verb in ((before, "save"), (after, "restore")):
        prefix = "ARCHLOOP_REGISTRY_"
        env = {
            f"{prefix}MONGO_URL": side.url,
            f"{prefix}MONGO_DATABASE": side.name,
            f"{prefix}S3_ENDPOINT": side.s3.endpoint,
            f"{prefix}S3_BUCKET": side.name,
            f"{prefix}S3_ACCESS_KEY": side.s3.access_key,
            f"{prefix}S3_SECRET_KEY": side.s3.secret_key,
        }
        command = [sys.executable, "-m", "services.registry.backup", verb, str(tmp_path / "backup")]
        done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert await after.documents() == await before.documents()
