"""Which candidates are edited: by closed cycles and the candidate's place alone, and said again as it was said."""

import json

import pytest

from archloop.answers import edits
from archloop.contracts.messages import CandidateGenerated, GenerationRequested
from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Family, Parent, SourceCode, Usage, Verdict
from services.registry.control import pairs, parents
from services.registry.control.parents import Possible, drawn, groups, is_edit
from services.registry.control.scored import Scored
from services.registry.records import CandidateQuery
from tests.unit.registry.world import RUN, World, number, spec


def one(index: int, accuracy: float, family: str = "plain", **changes: float) -> Possible:
    similarity, novel = changes.pop("similarity", 0.5), bool(changes.pop("novel", True))
    return Possible(Scored(str(index), 0, index, accuracy, Family(family), **changes), novel, similarity)


CANDIDATES = [
    one(0, 0.9, similarity=0.8, parameters=1000, flops=100),
    one(1, 0.8, similarity=0.1, parameters=1023, flops=127),
    one(2, 0.7, similarity=0.3, parameters=1024, flops=127),
    one(3, 0.6, "dense", similarity=0.0, parameters=1000, flops=100),
    one(4, 0.95, "dense", novel=False, parameters=900, flops=90),
    one(5, 0.5, "gated"),
]


def names(group: parents.Group) -> list[str]:
    return [member.candidate_id for member in group.members]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("best", ["4 0 1 2 3 5"]),
        ("novel", ["1 2 0"]),
        ("families", ["0 1 2", "", "4 3", "", "", "", "", "5"]),
        ("archive", ["4 3", "5", "0 1", "2"]),
        ("aging", ["5 4 3 2 1 0"]),
    ],
)
def test_each_strategy_draws_from_its_groups(strategy, expected):
    assert [" ".join(names(group)) for group in groups(CANDIDATES, strategy)] == expected


@pytest.mark.parametrize("strategy", ["best", "novel", "families", "archive", "aging"])
def test_of_no_candidates_nobody_is_drawn(strategy):
    assert [names(group) for group in groups([], strategy) if group.members] == []
    assert drawn(((),) * 8, SPEC, 1, 3) is None
    assert drawn((), SPEC, 1, 3) is None


SPEC = spec(generation={"mode": "edit"})


def test_by_age_the_winner_of_a_small_tournament_is_edited():
    pool = (tuple(Parent(candidate=str(n), code=SourceCode.inline("x"), accuracy=n / 20) for n in range(20)),)
    aging = spec(generation={"mode": "edit", "parents": "aging"})
    found = [int(drawn(pool, aging, 1, index).candidate) for index in range(200)]
    plain = [int(drawn(pool, SPEC, 1, index).candidate) for index in range(200)]
    assert sum(found) / 200 > 14 > 11 > sum(plain) / 200
    assert len({*found}) > 10


def parent(name: str) -> Parent:
    return Parent(candidate=name, code=SourceCode.inline(name), accuracy=0.5)


def test_groups_take_turns_and_empty_ones_pass_theirs_on():
    pool = ((parent("a"),), (), (parent("b"), parent("c")), ())
    found = [drawn(pool, SPEC, 1, index).candidate for index in range(40)]
    assert {*found[0::4], *found[3::4]} == {"a"}
    assert {*found[1::4], *found[2::4]} == {"b", "c"}


@pytest.mark.parametrize("seed", range(5))
def test_a_parent_depends_on_seed_cycle_and_index_alone(seed):
    pool = (tuple(map(parent, "abcdefgh")),)
    seeded = spec(seed=seed, generation={"mode": "edit"})
    found = [drawn(pool, seeded, 1, index) for index in range(50)]
    assert found == [drawn(pool, seeded, 1, index) for index in range(50)]
    assert found != [drawn(pool, seeded, 2, index) for index in range(50)]
    assert found != [drawn(pool, spec(seed=seed + 1, generation={"mode": "edit"}), 1, index) for index in range(50)]
    assert len({each.candidate for each in found}) == 8


@pytest.mark.parametrize(
    ("mode", "share", "least", "most"),
    [
        *(("whole", 1.0, 0, 0), ("edit", 0.0, 400, 400), ("mixed", 0.0, 0, 0), ("mixed", 1.0, 400, 400)),
        *(("mixed", 0.5, 160, 240), ("mixed", 0.25, 60, 140)),
    ],
)
def test_a_mixed_cycle_has_its_share_of_edits(mode, share, least, most):
    generation = GenerationSpec(mode=mode, edit_share=share)
    assert least <= sum(is_edit(generation, 1, 2, index) for index in range(400)) <= most


class Editor:
    """Writes a network of a few lines, or changes one of the parent's."""

    def __init__(self) -> None:
        self.asked: list[GenerationRequested] = []

    async def handle(self, message: GenerationRequested) -> list[CandidateGenerated]:
        self.asked.append(message)
        code, line = f"first\nof {number(message.seed) % 40}\nlast\n", number(message.seed, "line") % 9
        if message.parent is not None:
            code = edits.prepared(message.parent.code.text or "").replace("last\n", f"line {line}\nlast\n")
        return [
            CandidateGenerated(
                **message.about(),
                code=SourceCode.inline(code),
                prompt=f"write #{message.index}, at most 30,000 parameters",
                protocol=message.protocol,
                parent=message.parent.candidate if message.parent else None,
                usage=Usage(),
            )
        ]


@pytest.fixture
def world(tmp_path):
    return editing(World(tmp_path))


def editing(world: World) -> World:
    world.editor = world.services["generator"] = Editor()
    return world


async def rows(world: World):
    return {c.candidate_id: c for c in (await world.store.candidates(CandidateQuery(run_id=RUN))).items}


@pytest.mark.parametrize(("copies", "verdicts"), [(False, "nn-"), (True, "nnn")])
async def test_copies_are_parents_only_where_every_child_lives(world, copies, verdicts):
    await world.request(spec(cycles=1))
    await world.run_to_end()
    row = next(c for c in (await rows(world)).values() if c.valid and c.judgement)
    scored = pairs.scored(row)
    judged = [row.judgement.model_copy(update={"verdict": verdict}) for verdict in Verdict]
    assert [verdict.value for verdict in Verdict] == ["novel", "near_duplicate", "exact_duplicate"]
    found = [parents.possible(row.model_copy(update={"judgement": each}), scored, copies=copies) for each in judged]
    assert "".join("n" if each else "-" for each in found) == verdicts


@pytest.mark.parametrize("strategy", ["best", "novel", "families", "archive", "aging"])
async def test_from_the_second_cycle_on_all_are_edits_of_valid_candidates_of_closed_cycles(world, strategy):
    await world.request(spec(generation={"mode": "edit", "parents": strategy}))
    await world.run_to_end()
    found = await rows(world)
    assert [c.parent for c in found.values() if c.cycle == 0] == [None] * 6
    later = [c for c in found.values() if c.cycle]
    assert later
    for child in later:
        assert found[child.parent].valid
        assert found[child.parent].cycle < child.cycle
    for asked in world.editor.asked:
        assert (asked.parent is not None) == (asked.cycle > 0)
        assert asked.parent is None or asked.parent.accuracy == found[asked.parent.candidate].evaluation.accuracy


async def test_whoever_looks_again_after_a_restart_asks_in_the_same_words(world, tmp_path):
    await world.request(spec(cycles=4, generation={"mode": "mixed", "parents": "archive"}))
    for step in range(120):
        if world.pending:
            await world.deliver()
        if step % 9 == 8:
            await world.kill()
            await world.wait(1)
    await world.run_to_end()
    said = {}
    for asked in world.editor.asked:
        assert said.setdefault(asked.id, asked) == asked
    assert len(world.editor.asked) > len(said)
    (tmp_path / "other").mkdir()
    undisturbed = editing(World(tmp_path / "other"))
    await undisturbed.request(spec(cycles=4, generation={"mode": "mixed", "parents": "archive"}))
    await undisturbed.run_to_end()
    told = [(c.parent, c.code_sha256, c.admitted) for c in (await rows(world)).values()]
    assert told == [(c.parent, c.code_sha256, c.admitted) for c in (await rows(undisturbed)).values()]
    assert any(parent for parent, *_ in told)


async def test_pairs_of_an_edited_candidate_are_the_edit_that_makes_it_of_its_parent(world):
    await world.request(spec(generation={"mode": "edit"}))
    await world.run_to_end()
    taught = [json.loads(line) for line in (await world.blobs.get(world.trainer.requests[-1].pairs)).splitlines()]
    edited = [pair["completion"] for pair in taught if pair["completion"].startswith("<<<<<<< SEARCH\n")]
    assert edited
    parents_of = {asked.parent.code.text for asked in world.editor.asked if asked.parent}
    codes = {source.code.text for source in [await world.store.source(name) for name in await rows(world)]}
    for completion in edited:
        assert {edits.apply(code, completion).code for code in parents_of} & codes


def learning(run, *, improving: bool, pinned: tuple[str, ...] = (), **generation: object):
    """The run as it would be with these settings."""
    selection = run.spec.selection.model_copy(update={"improving": improving})
    changed = {"selection": selection, "generation": run.spec.generation.model_copy(update=generation)}
    exemplars = run.exemplars.model_copy(update={"pinned": pinned})
    return run.model_copy(update={"spec": run.spec.model_copy(update=changed), "exemplars": exemplars})


async def test_edits_that_are_worse_than_their_parents_are_learnt_from_only_where_that_is_asked_for_or_pinned(world):
    await world.request(spec(cycles=4, generation={"mode": "edit"}, selection={"replay": None, "quota": None}))
    await world.run_to_end()
    run, found = await world.store.run(RUN), await rows(world)

    def accuracy(candidate):
        return candidate.evaluation.accuracy

    better = [c for c in found.values() if c.admitted and c.parent and accuracy(c) >= accuracy(found[c.parent])]
    last = max(c.cycle for c in better)  # later cycles bring nothing to learn from
    admitted = [c for c in found.values() if c.admitted and c.cycle <= last]
    worse = [c for c in admitted if c.parent and c not in better]
    whole = [c for c in admitted if not c.parent]
    assert better
    assert worse
    assert whole

    async def learnt(cycle: int = last, **asked: object) -> int:
        return len(await pairs.lines(world.store, world.blobs, learning(run, **asked), cycle))

    assert await learnt(improving=False) == len(admitted)
    assert await learnt(improving=True) == len(better)
    assert await learnt(improving=True, mode="mixed") == len(better) + len(whole)
    assert await learnt(improving=True, pinned=(worse[0].candidate_id,)) == len(better) + 1
    assert await learnt(last + 1, improving=True) == 0


async def test_where_no_edit_improves_nothing_is_trained_anew(world):
    await world.request(spec(cycles=2, generation={"mode": "edit"}))
    await world.run_to_end()
    run = await world.store.run(RUN)
    for improving, trained in ((False, True), (True, False)):
        lines = await pairs.lines(world.store, world.blobs, learning(run, improving=improving), 0)
        assert bool(lines) is trained


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        ("first\n" + "x" * 400, "characters"),
        ("first\n=======\nlast\n", "marker"),
        ("# <|im_end|>\nlast\n", "turn"),
        ("first\n\0last\n", "characters"),
        ("\n \n", "no code"),
    ],
)
async def test_candidates_whose_code_cannot_be_shown_are_no_parents(world, monkeypatch, unfit, reason):
    assert reason in edits.unusable(unfit, 300)
    handle = world.editor.handle

    async def mostly_unfit(message):
        (generated,) = await handle(message)
        if message.cycle == 0 and message.index % 2:
            generated = generated.model_copy(update={"code": SourceCode.inline(unfit + "\n" * message.index)})
        return [generated]

    monkeypatch.setattr(world.editor, "handle", mostly_unfit)
    await world.request(spec(cycles=2, generation={"mode": "edit"}, training={"max_length": 100}))
    await world.run_to_end()
    found = await rows(world)
    chosen = [found[asked.parent.candidate] for asked in world.editor.asked if asked.parent]
    assert chosen
    assert {candidate.index % 2 for candidate in chosen} == {0}
