"""What edits came to: counted by cycle, compared with their parents, and how far a lineage goes."""

import pytest

from archloop.contracts.values import Evaluation, Family, Outcome
from services.registry.records import Candidate, Judgement, utc_now
from services.registry.statistics.lineage import Edited, Lineage, edits

NOW = utc_now()


def candidate(name: str, accuracy: float | None = None, parent: str | None = None, **changes) -> Candidate:
    size = {"parameters": changes.pop("parameters", 1000), "flops": changes.pop("flops", 1000)}
    evaluation = Evaluation(
        outcome=Outcome.BUILD_ERROR if accuracy is None else Outcome.OK,
        stage="train",
        protocol="digits",
        protocol_sha256="a" * 64,
        code_sha256="b" * 64,
        accuracy=accuracy,
        sandbox_level="process",
        **size,
    )
    judged = {"verdict": changes.pop("verdict", "novel"), "family": changes.pop("family", Family.PLAIN)}
    judgement = Judgement(similarity=0.5, threshold=0.85, **judged) if accuracy is not None else None
    return Candidate(
        candidate_id=name,
        run_id="r",
        cycle=0,
        index=0,
        parent=parent,
        generated=NOW,
        evaluation=evaluation,
        judgement=judgement,
        **changes,
    )


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (candidate("c", 0.75, "a"), Edited(applied=True, gain=0.25, depth=1)),
        (candidate("c", 0.5, "a"), Edited(applied=True, gain=0.0, depth=1)),
        (candidate("c", 0.25, "a"), Edited(applied=True, gain=-0.25, depth=1)),
        (candidate("c", 0.75, "b"), Edited(applied=True, gain=0.0, depth=2)),
        (candidate("c", None, "a"), Edited(applied=True)),
        (candidate("c", None, "a", problem="the edit changes nothing"), Edited(applied=False)),
        (candidate("c", 0.75, "of another run"), Edited(applied=True)),
        (candidate("c", 0.75, "failed"), Edited(applied=True)),
    ],
)
def test_an_edit_is_held_against_its_parent(child, expected):
    lineage = Lineage()
    before = [candidate("a", 0.5), candidate("b", 0.75, "a"), candidate("failed")]
    assert lineage.add(before) == [Edited(applied=True, gain=0.25, depth=1)]
    assert lineage.add([child]) == [expected]


def test_a_lineage_is_as_deep_as_its_edits_are_many():
    lineage = Lineage()
    lineage.add([candidate("0", 0.1)])
    found = [lineage.add([candidate(str(n), 0.1 + n / 100, str(n - 1))]) for n in range(1, 30)]
    assert [each.depth for (each,) in found] == list(range(1, 30))


def test_a_cycle_s_edits_are_summed_up():
    summed = edits([Edited(True, 0.2, 3), Edited(True, -0.1, 1), Edited(True, 0.0, 2), Edited(True), Edited(False)])
    assert summed.model_dump(include={"asked", "applied", "valid", "better", "best_gain", "depth"}) == {
        "asked": 5,
        "applied": 4,
        "valid": 3,
        "better": 1,
        "best_gain": 0.2,
        "depth": 3,
    }
    assert summed.mean_gain == pytest.approx(0.1 / 3)
    assert summed.mean_gain_low < summed.mean_gain < summed.mean_gain_high


def test_of_no_edits_and_of_none_valid_there_is_no_gain():
    assert edits([]) is None
    assert edits([Edited(False)]).mean_gain is None
    assert edits([Edited(True, 0.1, 1)]).mean_gain_low is None


@pytest.mark.parametrize(
    ("networks", "coverage", "score"),
    [
        ([], 0, 0.0),
        ([candidate("a", 0.5), candidate("b", 0.75)], 1, 0.75),
        ([candidate("a", 0.75), candidate("b", 0.5)], 1, 0.75),
        ([candidate("a", 0.5), candidate("b", 0.25, parameters=5000)], 2, 0.75),
        ([candidate("a", 0.5), candidate("b", 0.25, flops=None)], 2, 0.75),
        ([candidate("a", 0.5), candidate("b", 0.25, family=Family.DENSE)], 2, 0.75),
        ([candidate("a", 0.5), candidate("b", 0.25, family=Family.DENSE, verdict="exact_duplicate")], 1, 0.5),
        ([candidate("a", 0.5), candidate("b", 0.25, family=Family.DENSE, verdict="near_duplicate")], 2, 0.75),
        ([candidate("a", 0.5), candidate("b")], 1, 0.5),
    ],
)
def test_an_archive_holds_the_best_of_each_cell(networks, coverage, score):
    lineage = Lineage()
    for network in networks:
        lineage.add([network])
    assert lineage.archive == (coverage, score)
