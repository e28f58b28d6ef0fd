"""The best of a run on other seeds: which they are, what is kept of them, and what may be called a gain."""

import csv
from statistics import fmean, pstdev

import pytest
from typer.testing import CliRunner

from archloop import protocols
from archloop.contracts.spec import ConfirmSpec
from archloop.contracts.values import Evaluation, sha256_of
from archloop.errors import NotFound
from archloop_cli import confirming as cli
from archloop_cli.commands import app
from archloop_lab import confirmation, confirming, files, manifests, rescoring, run_report
from archloop_lab.confirmation import Confirmed
from archloop_lab.run_directory import RunDirectory
from services.evaluator.secret import PUBLISHED, Secret
from tests.unit.registry.world import RUN, World, number, spec

HELDOUT = Secret.of(PUBLISHED)


def network(*accuracies, chosen_by=0.5, name="c", place="1/2") -> Confirmed:
    return Confirmed(candidate=name, place=place, chosen_by=chosen_by, accuracies=accuracies)


def found(*networks, first=None):
    return confirmation.confirmation([1, 2, 3], networks, first or networks[0])


@pytest.mark.parametrize(
    ("networks", "sigma"),
    [
        ([network(0.4, 0.5, 0.6)], 0.1),
        ([network(0.4, 0.5, 0.6), network(0.7, 0.7, 0.7, name="d")], (0.01 / 2) ** 0.5),
        ([network(0.4, 0.5, 0.6), network(None, 0.1, 0.9, name="d")], 0.1),
        ([network(0.4, 0.4, 0.4)], 0.0),
        ([network(None, None, None)], None),
        ([network(0.4, 0.5, None)], None),
    ],
)
def test_noise_is_pooled_over_those_that_were_trained_with_every_seed(networks, sigma):
    told = found(*networks)
    assert told.sigma == (None if sigma is None else pytest.approx(sigma))
    assert told.floor == (None if sigma is None else pytest.approx(2 * sigma))


@pytest.mark.parametrize(
    ("best", "first", "word"),
    [
        ((0.60, 0.61, 0.62), (0.30, 0.31, 0.32), "a gain beyond"),
        ((0.40, 0.42, 0.44), (0.38, 0.40, 0.42), "neither gain nor loss"),
        ((0.40, 0.42, 0.44), (0.40, 0.42, 0.44), "neither gain nor loss"),
        ((0.30, 0.31, 0.32), (0.60, 0.61, 0.62), "a loss beyond"),
        ((0.50, 0.60, 0.70), (0.40, 0.50, 0.60), "neither gain nor loss"),
        ((0.50, None, 0.70), (None, 0.5, 0.60), "nothing can be said"),
    ],
)
def test_a_difference_within_the_noise_is_never_called_a_gain(best, first, word):
    told = " ".join(confirmation.sentences(found(network(*best), first=network(*first, name="f", place="0/0"))))
    assert word in told
    assert ("a gain" in told) is (word == "a gain beyond")


def test_a_training_that_came_to_nothing_counts_as_nothing():
    assert network(0.6, None, 0.3).mean == pytest.approx(0.3)
    assert found(network(0.6, None, 0.3, chosen_by=0.7)).shrinkage == pytest.approx(0.4)


@pytest.mark.parametrize(("base", "count"), [(0, 3), (1, 5), (7, 10), (2**31 - 1, 3), (2**31 - 2, 4)])
def test_no_new_seed_is_the_protocols_own_and_none_is_taken_twice(base, count):
    chosen = protocols.load("digits").model_copy(update={"seed": base}).other_seeds(count)
    assert len(set(chosen) - {base}) == count
    assert all(0 <= seed < 2**31 for seed in chosen)


@pytest.fixture
async def run(tmp_path):
    """A run of three cycles that has ended."""
    world = World(tmp_path)
    await world.request(spec(candidates=6))
    await world.run_to_end()
    await world.store.close()
    content = manifests.content_of(RUN, spec(candidates=6))
    digits = protocols.load("digits").model_dump(mode="json")
    manifests.write(RunDirectory(tmp_path).manifest_file, content | {"protocol": digits})
    return tmp_path


@pytest.fixture(autouse=True)
def scored(monkeypatch):
    """What was trained: code and seed. The accuracy depends on the code, and a little on the seed."""
    done = []

    class Double:
        secret = HELDOUT

        async def evaluate(self, code, protocol):
            done.append((code, protocol.seed))
            assert protocol.ladder is None
            return Evaluation(
                outcome="ok",
                stage="predict",
                protocol=protocol.name,
                protocol_sha256=protocol.sha256,
                code_sha256=sha256_of(code),
                accuracy=0.4 + number(code) % 100 / 1000 + number(code, protocol.seed) % 10 / 1000,
                sandbox_level="namespaces",
                heldout_id=HELDOUT.id,
            )

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

    monkeypatch.setattr(rescoring, "opened_evaluator", lambda _: Double())
    return done


def ignored(*_):
    return None


async def test_the_best_and_the_best_of_the_first_cycle_are_trained_on_every_seed(run, scored):
    await confirming.confirm(run, ConfirmSpec(count=3, seeds=4), ignored)
    told = RunDirectory(run).confirmation()
    listed = await rescoring.networks(run, admitted=False)
    distinct = list({n.code: n for n in reversed(listed)})
    assert [n.chosen_by for n in told.networks] == sorted((n.chosen_by for n in told.networks), reverse=True)
    assert told.networks[0].candidate == listed[0].name
    assert len({n.candidate for n in told.networks}) == min(3, len(distinct))
    assert told.first.place.startswith("0/")
    assert told.first.chosen_by == max(n.accuracy for n in listed if n.cycle == 0)
    assert len(scored) == len(set(scored)) == 4 * len({n.candidate for n in (*told.networks, told.first)})
    assert told.seeds == (1, 2, 3, 4)
    rows = list(csv.DictReader((run / "confirm.csv").open()))
    assert len(rows) == len(scored)


async def test_done_again_nothing_is_trained_again_and_more_seeds_are_added(run, scored):
    await confirming.confirm(run, ConfirmSpec(count=2, seeds=3), ignored)
    before, first = len(scored), RunDirectory(run).confirmation()
    await confirming.confirm(run, ConfirmSpec(count=2, seeds=3), ignored)
    assert (len(scored), RunDirectory(run).confirmation()) == (before, first)
    await confirming.confirm(run, ConfirmSpec(count=2, seeds=5), ignored)
    assert len(scored) == before * 5 // 3
    assert RunDirectory(run).confirmation().networks[0].accuracies[:3] == first.networks[0].accuracies


async def test_summary_and_report_say_what_was_confirmed_and_the_noise(run):
    await run_report.write(RunDirectory(run))
    assert "confirmation" not in files.read_json(run / "summary.json")
    await confirming.confirm(run, ConfirmSpec(count=2, seeds=3), ignored)
    await run_report.write(RunDirectory(run))
    told = RunDirectory(run).summary().confirmation
    assert told == RunDirectory(run).confirmation()
    assert told.best.mean == pytest.approx(max(fmean(n.accuracies) for n in told.networks))
    assert pstdev(told.networks[0].accuracies) <= told.floor
    page = (run / "report.html").read_text()
    assert all(line in page for line in confirmation.sentences(told))
    assert "confirmed mean" in page


async def test_a_run_without_a_valid_network_has_nothing_to_confirm(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.unit.registry.world.number", lambda *_: 0)
    world = World(tmp_path)
    await world.request(spec(candidates=2, cycles=1))
    await world.run_to_end()
    await world.store.close()
    manifests.write(RunDirectory(tmp_path).manifest_file, manifests.content_of(RUN, spec(candidates=2, cycles=1)))
    with pytest.raises(NotFound, match="valid candidate"):
        await confirming.confirm(tmp_path, ConfirmSpec(), ignored)


async def test_at_the_end_of_a_run_it_is_said_what_was_confirmed_or_that_there_is_nothing(run, capsys):
    await cli.at_the_end(RunDirectory(run), ConfirmSpec(count=2), None)
    told = capsys.readouterr().err
    assert all(line in " ".join(told.split()) for line in confirmation.sentences(RunDirectory(run).confirmation()))
    (run / "confirmation.json").unlink()
    await cli.at_the_end(RunDirectory(run / "nowhere"), ConfirmSpec(count=2), None)
    assert "nothing is confirmed" in capsys.readouterr().err


def test_the_command_confirms_a_finished_run_and_writes_its_report_anew(run):
    done = CliRunner().invoke(app, ["confirm", str(run), "--count", "2", "--seeds", "4"])
    assert done.exit_code == 0, done.output
    assert RunDirectory(run).summary().confirmation.seeds == (1, 2, 3, 4)
    assert "confirmed mean" in (run / "report.html").read_text()


@pytest.mark.parametrize("given", [["--seeds", "2"], ["--count", "0"], ["--seeds", "1001"], ["--count", "x"]])
def test_the_command_refuses_what_tells_no_noise(run, given):
    assert CliRunner().invoke(app, ["confirm", str(run), *given]).exit_code == 2


@pytest.mark.parametrize("given", [{"seeds": 2}, {"seeds": 0}, {"count": 0}, {"seeds": True}, {"best": 3}])
def test_too_few_seeds_to_tell_noise_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        ConfirmSpec.model_validate(given)


def test_a_run_that_confirms_nothing_is_written_as_before():
    assert "confirm" not in spec().model_dump()
    assert spec(confirm={"count": 2}).model_dump()["confirm"] == {"count": 2, "seeds": 3}
