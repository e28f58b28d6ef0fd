"""A run in LEMUR's own file form, held against nn-dataset's rules, and back again."""

import asyncio
import hashlib
import json
import re
import shutil
from contextlib import closing

import pytest

from archloop import protocols
from archloop.contracts.values import Evaluation, sha256_of
from archloop.errors import IntegrityError, InvalidInput, NotFound
from archloop_lab.lemur import exporting, sources
from archloop_lab.lemur.corpus import Corpus
from archloop_lab.lemur.importing import into
from services.registry.records import CandidateQuery
from tests.unit.registry.world import RUN, World, spec

STAT = re.compile(r"ab/nn/stat/train/img-classification_digits_acc_unq-([0-9a-f]{32})/1\.json")
KEYS = [
    "accuracy",
    "batch",
    "dropout",
    "duration",
    "epoch",
    "lr",
    "momentum",
    "transform",
    "uid",
    "validation_accuracy",
]


@pytest.fixture
def run(tmp_path):
    """A directory with a finished run, and what is recorded in it."""
    directory = tmp_path / "run"

    async def finished():
        world = World(directory)
        await world.request(spec(candidates=12, protocol="digits"))
        await world.run_to_end()
        candidates = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
        codes = {c.candidate_id: (await world.store.source(c.candidate_id)).code.text for c in candidates}
        await world.store.close()
        return candidates, codes

    recorded = asyncio.run(finished())
    protocol = protocols.load("digits")
    manifest = {"run_id": RUN, "spec": spec(candidates=12, protocol="digits").model_dump(mode="json")}
    manifest["protocol"] = protocol.model_dump(mode="json") | {"sha256": protocol.sha256}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory, *recorded


def export(directory, out, prefix="unq", *, everything=False):
    return asyncio.run(exporting.export(directory, out, prefix, everything=everything))


def theirs(value):
    """`uuid4` of nn-dataset 2.1.2, ab/nn/util/Util.py, as it stands there."""
    s = re.sub("\\s", "", str(value))
    res = hashlib.md5(s.encode())
    return res.hexdigest()


def files(out):
    return {str(path.relative_to(out)): path for path in out.rglob("*.*") if path.is_file()}


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_admitted_or_all_that_is_valid_keeps_to_nn_datasets_rules(everything, run, tmp_path):
    directory, candidates, codes = run
    wanted = {codes[c.candidate_id] for c in candidates if (c.valid if everything else c.admitted)}
    assert export(directory, tmp_path / "out", everything=everything) == len(wanted) > 0
    written = files(tmp_path / "out")
    named = {f"ab/nn/nn/unq-{theirs(code)}.py": code for code in wanted}
    assert {name: path.read_text() for name, path in written.items() if name.endswith(".py")} == named
    stats = [name for name in written if name.endswith(".json")]
    assert {STAT.fullmatch(name)[1] for name in stats} == {theirs(code) for code in wanted}
    for name in stats:
        trials = json.loads(written[name].read_text())
        assert trials == sorted(trials, key=lambda each: each["accuracy"], reverse=True)
        for each in trials:
            assert list(each) == KEYS
            handed_in = ("batch", "dropout", "lr", "momentum", "transform")
            assert each["uid"] == theirs({name: each[name] for name in handed_in})


def test_export_and_import_give_the_same_architectures_and_records(run, tmp_path):
    directory, candidates, codes = run
    export(directory, tmp_path / "out")
    with closing(Corpus(tmp_path / "corpus.sqlite")) as corpus:
        result = into(corpus, sources.opened(tmp_path / "out"), lambda *_: None)
        assert result.problems == []
        assert {each.code for each in corpus.preferred()} == {codes[c.candidate_id] for c in candidates if c.admitted}
        best = corpus.preferred()[0]
    accuracies = {codes[c.candidate_id]: c.evaluation.accuracy for c in candidates if c.admitted}
    assert best.code == max(accuracies, key=accuracies.get)


def test_a_second_export_changes_nothing_and_another_run_is_added(run, tmp_path):
    directory, *_ = run
    export(directory, tmp_path / "out")
    before = {name: path.read_bytes() for name, path in files(tmp_path / "out").items()}
    export(directory, tmp_path / "out")
    assert {name: path.read_bytes() for name, path in files(tmp_path / "out").items()} == before
    name = next(name for name in before if name.endswith(".json"))
    other = json.loads(before[name])[0] | {"accuracy": 0.999, "uid": "another"}
    (tmp_path / "out" / name).write_text(json.dumps([other]))
    export(directory, tmp_path / "out")
    trials = json.loads((tmp_path / "out" / name).read_text())
    assert [each["accuracy"] for each in trials] == [0.999, json.loads(before[name])[0]["accuracy"]]


def test_the_test_accuracy_goes_out_and_the_validation_accuracy_beside_it():
    protocol = protocols.load("paper-cifar10")
    evaluation = Evaluation(
        outcome="ok", stage="predict", protocol=protocol.name, protocol_sha256=protocol.sha256,
        code_sha256=sha256_of(""), accuracy=0.61, test_accuracy=0.58, seconds=99, batch=8,
        stage_seconds={"build": 1.0, "train": 20.5, "predict": 1.25}, sandbox_level="process",
    )  # fmt: skip
    trial = exporting.trial(evaluation, protocol)
    assert (trial["accuracy"], trial["validation_accuracy"]) == (0.58, 0.61)
    assert (trial["duration"], trial["batch"], trial["transform"]) == (21_750_000_000, 8, "norm_256_flip")
    untested = exporting.trial(evaluation.model_copy(update={"test_accuracy": None, "stage_seconds": {}}), protocol)
    assert (untested["accuracy"], untested["duration"]) == (0.61, 99_000_000_000)


def test_wrong_places_and_prefixes_are_told(run, tmp_path):
    directory, *_ = run
    with pytest.raises(NotFound, match=r"manifest\.json"):
        export(tmp_path / "nowhere", tmp_path / "out")
    for prefix in ("", "a_b", "a/b", "../x"):
        with pytest.raises(InvalidInput, match="--prefix"):
            export(directory, tmp_path / "out", prefix)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"{}", b'"trials"', b"[1]", b"[[]]", b"[null]", b'[{"epoch": 1}]', b"\xff", b"[" * 99_999),
        *(b'[{"accuracy": "0.9"}]', b'[{"accuracy": null}]', b'[{"accuracy": NaN}]', "[]".encode("utf-16")),
    ],
)
def test_what_is_no_file_of_trials_is_named_and_stays(content, run, tmp_path):
    directory, *_ = run
    export(directory, tmp_path / "out")
    trials = next(path for name, path in files(tmp_path / "out").items() if name.endswith(".json"))
    trials.write_bytes(content)
    with pytest.raises(IntegrityError, match=trials.name):
        export(directory, tmp_path / "out")
    assert trials.read_bytes() == content


def test_trials_that_an_editor_saved_are_added_to(run, tmp_path):
    directory, *_ = run
    export(directory, tmp_path / "out")
    before = {name: path.read_bytes() for name, path in files(tmp_path / "out").items()}
    for path in files(tmp_path / "out").values():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    export(directory, tmp_path / "out")
    assert {name: path.read_bytes() for name, path in files(tmp_path / "out").items()} == before


def test_a_run_that_its_registry_does_not_know_is_none(run, tmp_path):
    directory, *_ = run
    shutil.copytree(directory, tmp_path / "other")
    (tmp_path / "other/registry.sqlite").unlink()
    with pytest.raises(NotFound, match="no run named"):
        export(tmp_path / "other", tmp_path / "out")
    assert not (tmp_path / "out").exists()
