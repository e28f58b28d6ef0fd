"""How alike networks are, counted by hand and by brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloop_lab.analysis import Written, analysed, diversity, nearest_of, similarities
from archloop_lab.summary import AnalysedCycle, AnalysedSummary, CycleAnalysis
from services.novelty.shingles import jaccard
from services.registry.statistics.summary import summarise
from tests.unit.registry.world import RUN, World, spec

SETS = st.lists(
    st.sets(st.integers(0, 30)).map(lambda found: np.array(sorted(found), dtype=np.uint64)), min_size=1, max_size=8
)


def net(width: int, *layers: str) -> str:
    body = "\n".join(f"        self.x{n} = nn.{layer}" for n, layer in enumerate(layers))
    return (
        "import torch.nn as nn\n\n\nclass Net(nn.Module):\n    def __init__(self, in_shape, out_shape, prm, device):\n"
        f"        super().__init__()\n        self.first = nn.Linear(8, {width})\n{body}\n\n"
        "    def forward(self, x):\n        return self.first(x)\n"
    )


PLAIN, DEEP = net(16, "ReLU()"), net(16, "ReLU()", "BatchNorm1d(16)", "Dropout(0.1)", "GELU()")


@settings(max_examples=50, deadline=None)
@given(SETS, SETS)
def test_similarities_are_those_of_every_pair(left, right):
    found = similarities(left, right)
    assert found.shape == (len(left), len(right))
    for i, one in enumerate(left):
        assert [jaccard(one, other) for other in right] == pytest.approx(list(found[i]))
    assert nearest_of(left, right) == pytest.approx([max(jaccard(one, other) for other in right) for one in left])


@settings(max_examples=50, deadline=None)
@given(SETS)
def test_diversity_is_the_mean_distance_over_all_pairs(sets):
    distances = [1 - jaccard(one, other) for one, other in combinations(sets, 2)]
    assert diversity(sets) == (pytest.approx(np.mean(distances)) if distances else None)


def test_a_cycle_of_copies_has_no_diversity_and_one_network_none_at_all():
    one = np.arange(5, dtype=np.uint64)
    assert diversity([one, one, one]) == 0.0
    assert diversity([one]) is None
    assert diversity([]) is None


def test_a_copy_of_a_training_example_is_memorized_and_a_new_network_is_not():
    written = [
        Written("a", 0, None, PLAIN, admitted=True),
        Written("b", 1, "c0", PLAIN, admitted=False),
        Written("c", 1, "c0", DEEP, admitted=True),
    ]
    found = analysed(written, {1: [PLAIN]}, [0, 1], 0.85)
    assert found.nearest["b"] == 1.0
    assert 0 < found.nearest["c"] < 0.85
    assert found.cycles[0].memorization_median is None
    assert found.cycles[1].memorization_share_ge_threshold == 0.5
    assert found.cycles[1].memorization_median == pytest.approx((1 + found.nearest["c"]) / 2)
    assert found.cycles[1].diversity_valid == pytest.approx(1 - found.nearest["c"])
    assert found.cycles[1].diversity_admitted is None


def test_what_the_untuned_llm_wrote_is_held_against_all_examples_but_itself():
    written = [Written("a", 0, None, PLAIN, admitted=True), Written("b", 1, "c0", DEEP, admitted=True)]
    alone = analysed(written, {1: [PLAIN]}, [0, 1], 0.85)
    more = analysed(written, {1: [PLAIN, DEEP]}, [0, 1], 0.85)
    assert alone.cycles[1].memorization_untuned_median == 0.0
    assert more.cycles[1].memorization_untuned_median == pytest.approx(alone.nearest["b"])


def test_sources_that_cannot_be_read_are_left_out():
    written = [Written("a", 1, "c0", "def (", admitted=False), Written("b", 1, "c0", PLAIN, admitted=True)]
    found = analysed(written, {1: ["class", PLAIN]}, [1], 0.85)
    assert found.nearest == {"b": 1.0}


async def test_the_summary_has_the_numbers_within_its_cycles(tmp_path):
    world = World(tmp_path)
    await world.request(spec(candidates=4, frozen=True))
    await world.run_to_end()
    summary = await summarise(world.store, RUN)
    told = AnalysedSummary.of(summary, {0: CycleAnalysis(diversity_valid=0.5)}).model_dump(mode="json")
    untold = CycleAnalysis().model_dump()
    content = summary.model_dump(mode="json")
    first, *others = content["cycles"]
    assert told == content | {
        "cycles": [first | untold | {"diversity_valid": 0.5}, *({**cycle, **untold} for cycle in others)]
    }
    assert list(told["cycles"][0]) == [*first, *untold]


@pytest.mark.parametrize("name", ["valid_ratio", "Valid_rate", "", "cycle.valid", "diversity"])
def test_a_number_that_no_summary_has_is_no_unknown_one(name):
    with pytest.raises(AttributeError, match="object has no attribute"):
        AnalysedCycle.model_construct().measure(name)
