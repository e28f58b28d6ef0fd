"""The paper's path in small: every step of preset `paper`, with the LLM that ships, on a CPU."""

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from archloop import answers, presets, protocols
from archloop_lab.study.plan import merged
from services.evaluator.datasets import preparing, sources
from services.generator.model_build import corpus
from tests.support import archloop
from tests.torchvision import importable
from tests.unit.evaluator import miniature
from tests.unit.lemur.miniature import stat, trial, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
THRESHOLD, FALLBACK, MINIMUM = 0.98, 0.15, 6
# What the preset is changed in: the LLM and what follows from its size, 24 candidates, a threshold that few reach.
SMALL = {
    "cycles": 2,
    "candidates": 12,
    "base_model": "tiny",
    "generation": {"template": "brief", "prompts": 5, "max_new_tokens": 512},
    "training": {
        "quantization": "none",
        "learning_rate": 2e-3,
        "warmup_steps": 2,
        "batch_size": 2,
        "accumulation": 2,
        "epochs": 1,
    },
    "selection": {"threshold": THRESHOLD, "fallback_threshold": FALLBACK, "minimum": MINIMUM},
}


class Rehearsal(NamedTuple):
    """Where it took place, and what the run came to."""

    folder: Path
    summary: dict[str, Any]
    settings: dict[str, Path]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of the run's registry."""
        with closing(sqlite3.connect(self.folder / "run/registry.sqlite")) as db:
            return db.execute(sql).fetchall()

    def pairs(self, cycle: int) -> list[dict[str, str]]:
        """What the adapter after this cycle was tuned on."""
        ((data,),) = self.rows(
            f"SELECT data FROM events WHERE type = 'archloop.training.requested.v1' AND data ->> 'cycle' = {cycle}"
        )
        lines = (self.folder / "run/blobs" / json.loads(data)["pairs"]["key"]).read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    folder = tmp_path_factory.mktemp("paper")
    settings = {"ARCHLOOP_EVALUATOR_DATA_DIR": folder / "data"}
    with importable(), pytest.MonkeyPatch.context() as patch:
        miniature.cifar(folder / "files", patch, "CIFAR10", 10, count=80, draw=miniature.coloured)
        source = sources.source("cifar10", folder / "files", download=False)
        preparing.prepare(folder / "data", "cifar10", lambda: source, lambda *_: None)
    own = protocols.load("paper-cifar10").model_dump(mode="json", exclude_none=True)
    small = {"resize": 32, "dataset": {"train": 320, "validation": 80, "test": 80}}
    (folder / "protocol.yaml").write_text(yaml.safe_dump(merged(own, small)))
    changed = merged(presets.load("paper").model_dump(mode="json"), SMALL | {"protocol": str(folder / "protocol.yaml")})
    (folder / "preset.yaml").write_text(yaml.safe_dump(changed))
    lemur(folder / "lemur")
    made = ("--template", "brief", "--protocol", folder / "protocol.yaml", "--split", "all")
    for arguments in (
        ("import", folder / "lemur", "--out", folder / "lemur.sqlite"),
        ("curate", folder / "lemur.sqlite"),
        ("pairs", folder / "lemur.sqlite", folder / "pairs.jsonl", *made),
    ):
        result = archloop("lemur", *arguments)
        assert result.returncode == 0, result.stderr
    begun = ("--preset", folder / "preset.yaml", "--pairs", folder / "pairs.jsonl", "--out", folder / "run")
    result = archloop("run", *begun, "--json", settings=settings, timeout=500)
    assert result.returncode == 0, result.stderr
    return Rehearsal(folder, json.loads(result.stdout), settings)


def lemur(folder: Path) -> None:
    """Networks that train, in LEMUR's own form."""
    written = corpus.write(3, 32, among=["shapes"])
    for number, example in enumerate(written):
        write(folder, f"ab/nn/nn/ga-{number}.py", answers.extract(example.pair.completion).code)
        stat(folder, f"img-classification_cifar-10_acc_ga-{number}", json.dumps([trial(0.5)]))


def test_the_llm_is_tuned_on_lemur_before_it_writes(rehearsal: Rehearsal) -> None:
    given = [json.loads(line) for line in (rehearsal.folder / "pairs.jsonl").read_text().splitlines()]
    assert len(given) >= 40
    assert rehearsal.pairs(-1) == given
    first, second = (cycle["adapter"] for cycle in rehearsal.summary["cycles"])
    assert first.endswith("-start")
    assert second.endswith("-c0")


def test_a_cycle_asks_the_same_few_prompts_as_the_one_before(rehearsal: Rehearsal) -> None:
    prompts = rehearsal.rows("SELECT cycle, idx, prompt FROM candidates")
    assert len(prompts) == 24
    by_place = {(cycle, index): prompt for cycle, index, prompt in prompts}
    assert len(set(by_place.values())) == 5
    assert all(by_place[0, index] == by_place[1, index] == by_place[0, index % 5] for index in range(12))


def test_every_candidate_is_scored_under_the_papers_protocol(rehearsal: Rehearsal) -> None:
    used = protocols.load(str(rehearsal.folder / "protocol.yaml"))
    assert (used.batch, used.epochs, used.flip, used.dataset.name) == (16, 1, True, "cifar10")
    assert rehearsal.rows("SELECT DISTINCT protocol_sha256 FROM evaluations") == [(used.sha256,)]
    assert sum(cycle["valid"] for cycle in rehearsal.summary["cycles"]) >= 6


def test_what_is_admitted_is_what_threshold_and_fallback_say(rehearsal: Rehearsal) -> None:
    fell_back = False
    for cycle in range(2):
        rows = rehearsal.rows(
            "SELECT accuracy, admitted FROM candidate_rows"
            f" WHERE cycle = {cycle} AND verdict = 'novel' ORDER BY accuracy DESC, idx"
        )
        passed = sum(accuracy >= THRESHOLD for accuracy, _ in rows)
        eligible = sum(accuracy >= FALLBACK for accuracy, _ in rows)
        expected = min(eligible, max(passed, MINIMUM))
        assert [admitted is not None for _, admitted in rows] == [place < expected for place in range(len(rows))]
        fell_back = fell_back or expected > passed
    assert fell_back


def test_the_second_cycle_is_tuned_on_everything_so_far(rehearsal: Rehearsal) -> None:
    admitted = rehearsal.rows("SELECT count(*) FROM candidate_rows WHERE cycle = 0 AND admitted IS NOT NULL")[0][0]
    pairs = rehearsal.pairs(0)
    assert len(pairs) == admitted + len(rehearsal.pairs(-1))
    assert all(pair in pairs for pair in rehearsal.pairs(-1))
    written = {answers.extract(pair["completion"]).code for pair in pairs[:admitted]}
    assert len(written) == admitted


def test_the_architectures_are_scored_under_another_protocol(rehearsal: Rehearsal) -> None:
    result = archloop("transfer", rehearsal.folder / "run", "--protocols", "shapes32", settings=rehearsal.settings)
    assert result.returncode == 0, result.stderr
    scored = [json.loads(line) for line in (rehearsal.folder / "run/transfer.jsonl").read_text().splitlines()]
    assert len(scored) == rehearsal.summary["totals"]["admitted"]
    assert {line["protocol"] for line in scored} == {"shapes32"}


def test_the_report_stands(rehearsal: Rehearsal) -> None:
    assert "<svg" in (rehearsal.folder / "run/report.html").read_text()
    assert all(math.isfinite(c["mean_accuracy"]) for c in rehearsal.summary["cycles"] if c["valid"])
