"""From wishes to a network: stem, stages of one family's body, downsampling, head."""

import random
from typing import NamedTuple

from services.generator.prompts import Wishes
from services.generator.seeds.body import At, Body, BodyWriter
from services.generator.seeds.draft import Draft, assignments, module
from services.generator.seeds.hand import Hand
from services.generator.seeds.lapses import Lapse

_WIDTHS = {30_000: (8, 16), 100_000: (16, 32), 300_000: (24, 48)}


class Plan(NamedTuple):
    """What is decided before a line is written. `widths` holds the stem's width and each stage's."""

    hand: Hand
    body: BodyWriter
    helper: str
    wishes: Wishes
    lapses: frozenset[Lapse]
    widths: list[int]
    after: frozenset[int]


def plan_widths(rng: random.Random, wishes: Wishes, lapses: frozenset[Lapse]) -> list[int]:
    """Widths within the budget, non-decreasing, multiples of 8."""
    if Lapse.NARROW in lapses:
        return [4] * (wishes.stages + 1)
    low, high = _WIDTHS[wishes.budget]
    widths = [low]
    for _ in range(wishes.stages):
        widths.append(min(high, widths[-1] + rng.choice((0, 8, 8, 16))))
    return widths


def plan_downsampling(rng: random.Random, stages: int, lapses: frozenset[Lapse]) -> frozenset[int]:
    """After which stages to halve height and width; the stem has already halved them."""
    if Lapse.EARLY_POOLING in lapses:
        return frozenset()
    return frozenset(rng.sample(range(1, stages), k=min(stages - 1, rng.choice((1, 1, 2)))))


def write_features(rng: random.Random, draft: Draft, plan: Plan) -> None:
    """Stem and stages, in the layout that was wished for."""
    writers = {
        "layers inside Net": _inline,
        "helper module": _staged,
        "helper module in a Sequential": _chained,
    }
    writers[plan.wishes.layout](rng, draft, plan)


def _inline(rng: random.Random, draft: Draft, plan: Plan) -> None:
    _stem(rng, draft, plan)
    for number, (cin, cout) in enumerate(_pairs(plan), 1):
        draft.add(plan.body(plan.hand, At(str(cin), str(cout), f"s{number}_")))
        _halve(draft, plan, number)


def _staged(rng: random.Random, draft: Draft, plan: Plan) -> None:
    _helper(draft, plan)
    _stem(rng, draft, plan)
    for number, (cin, cout) in enumerate(_pairs(plan), 1):
        draft.add(Body({f"stage{number}": [f"{plan.helper}({cin}, {cout})"]}, [f"x = self.stage{number}(x)"]))
        _halve(draft, plan, number)


def _chained(rng: random.Random, draft: Draft, plan: Plan) -> None:
    _helper(draft, plan)
    modules = _stem_modules(rng, plan)
    for number, (cin, cout) in enumerate(_pairs(plan), 1):
        modules.append(f"{plan.helper}({cin}, {cout})")
        modules += [_halving(plan, cout)] if number in plan.after else []
    draft.add(Body({"features": modules}, ["x = self.features(x)"]))


def _helper(draft: Draft, plan: Plan) -> None:
    draft.helpers.append(module(plan.helper, "cin, cout", plan.body(plan.hand, At("cin", "cout"))))


def _stem(rng: random.Random, draft: Draft, plan: Plan) -> None:
    draft.add(Body({"stem": _stem_modules(rng, plan)}, ["x = self.stem(x)"]))


def _stem_modules(rng: random.Random, plan: Plan) -> list[str]:
    hand, width = plan.hand, str(plan.widths[0])
    strided = plan.wishes.downsampling == "strided convolution"
    kernel = rng.choice((3, 3, 5))
    stride = ", stride=2" if strided else ""
    modules = [hand.conv("in_shape[1]", width, kernel, stride), *hand.norm_of(width), hand.act]
    if Lapse.EARLY_POOLING in plan.lapses:
        return [*modules, f"nn.MaxPool2d({rng.choice((4, 8))})"]
    return modules if strided else [*modules, _pool(plan)]


def _halve(draft: Draft, plan: Plan, number: int) -> None:
    if number in plan.after:
        draft.layers.append(f"self.down{number} = {_halving(plan, plan.widths[number])}")
        draft.steps.append(f"x = self.down{number}(x)")


def _halving(plan: Plan, width: int) -> str:
    strided = plan.wishes.downsampling == "strided convolution"
    return f"nn.Conv2d({width}, {width}, 2, stride=2)" if strided else _pool(plan)


def _pool(plan: Plan) -> str:
    return "nn.AvgPool2d(2)" if plan.wishes.downsampling == "average pooling" else "nn.MaxPool2d(2)"


def _pairs(plan: Plan) -> list[tuple[int, int]]:
    return list(zip(plan.widths, plan.widths[1:], strict=False))


def write_head(rng: random.Random, draft: Draft, plan: Plan) -> None:
    """From feature maps to logits."""
    width = plan.widths[-1]
    draft.steps.append(_pooling(rng, draft, plan))
    if plan.wishes.head == "pooling to a 2 x 2 grid":
        width *= 4
    dropout = _dropout(rng, plan)
    if plan.wishes.head == "one hidden layer":
        hidden = rng.choice((32, 48, 64))
        modules = [f"nn.Linear({width}, {hidden})", plan.hand.act, *dropout, f"nn.Linear({hidden}, out_shape[0])"]
    else:
        modules = [*dropout, f"nn.Linear({width}, out_shape[0])"]
    draft.layers += assignments({"head": modules})
    draft.steps.append("return self.head(x)")


def _pooling(rng: random.Random, draft: Draft, plan: Plan) -> str:
    grid = plan.wishes.head == "pooling to a 2 x 2 grid"
    form = rng.choice(("method", "function", "mean"))
    if form == "mean" and not grid:
        return "x = x.mean((2, 3))"
    draft.layers.append(f"self.pool = nn.AdaptiveAvgPool2d({2 if grid else 1})")
    return "x = self.pool(x).flatten(1)" if form == "method" else "x = torch.flatten(self.pool(x), 1)"


def _dropout(rng: random.Random, plan: Plan) -> list[str]:
    if Lapse.HEAVY_DROPOUT in plan.lapses:
        return [f"nn.Dropout({rng.choice((0.8, 0.9))})"]
    return ["nn.Dropout(0.1)"] if "dropout" in plan.wishes.tricks else []
