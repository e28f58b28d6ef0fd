"""From a brief to a network: stem, stages of one family's body, downsampling, head."""

import random
from collections.abc import Callable
from typing import NamedTuple

from services.generator.prompts import BriefParameters
from services.generator.seeds.body import At, Body, BodyWriter
from services.generator.seeds.code_style import CodeStyle
from services.generator.seeds.draft import Draft, assignments, module
from services.generator.seeds.weak_choices import WeakChoice

_WIDTHS = {30_000: (8, 16), 100_000: (8, 24), 300_000: (16, 32)}


class Plan(NamedTuple):
    """Decisions that are made before a line is written.

    `widths` holds the stem's width and each stage's; the stem halves height and width, and so does what follows stage
    `halve_after`, if that is not 0.
    """

    style: CodeStyle
    body: BodyWriter
    helper: str
    brief: BriefParameters
    weak_choices: frozenset[WeakChoice]
    widths: list[int]
    halve_after: int


def plan_widths(rng: random.Random, brief: BriefParameters, weak_choices: frozenset[WeakChoice]) -> list[int]:
    """Draw widths within the budget, never falling, multiples of 8 unless too narrow."""
    if WeakChoice.NARROW in weak_choices:
        return [4] * (brief.stages + 1)
    low, high = _WIDTHS[brief.budget]
    widths = [low]
    for _ in range(brief.stages):
        widths.append(min(high, widths[-1] + rng.choice((0, 8, 8, 16))))
    return widths


def write_features(rng: random.Random, draft: Draft, plan: Plan) -> None:
    """Write helper module, stem and stages, in the layout that the brief asks for."""
    draft.helpers.append(module(plan.helper, "cin, cout", plan.body(plan.style, At("cin", "cout"))))
    _LAYOUTS[plan.brief.layout](draft, plan, _stem(rng, plan))


def write_head(rng: random.Random, draft: Draft, plan: Plan) -> None:
    """Write the layers from feature maps to logits."""
    pool = "Max" if plan.brief.head == "global max pooling" else "Avg"
    forms = ("x = self.pool(x).flatten(1)", "x = torch.flatten(self.pool(x), 1)")
    draft.add(Body({"pool": [f"nn.Adaptive{pool}Pool2d(1)"]}, [rng.choice(forms)]))
    draft.layers += assignments({"head": _classifier(rng, plan, str(plan.widths[-1]))})
    draft.steps.append("return self.head(x)")


def _attributes(draft: Draft, plan: Plan, stem: list[str]) -> None:
    draft.add(Body({"stem": stem}, ["x = self.stem(x)"]))
    for number, stage in enumerate(_stages(plan), 1):
        draft.add(Body({f"stage{number}": [stage]}, [f"x = self.stage{number}(x)"]))
        if number == plan.halve_after:
            draft.add(Body({"down": [_halving(plan)]}, ["x = self.down(x)"]))


def _chained(draft: Draft, plan: Plan, stem: list[str]) -> None:
    stages = _stages(plan)
    if plan.halve_after:
        stages.insert(plan.halve_after, _halving(plan))
    draft.add(Body({"features": [*stem, *stages]}, ["x = self.features(x)"]))


def _looped(draft: Draft, plan: Plan, stem: list[str]) -> None:
    draft.layers += assignments({"stem": stem})
    draft.layers.append(f"widths = {plan.widths}")
    stages = f"[{plan.helper}(a, b) for a, b in zip(widths, widths[1:])]"
    draft.add(Body({"stages": [f"nn.Sequential(*{stages})"]}, ["x = self.stages(self.stem(x))"]))


_LAYOUTS: dict[str, Callable[[Draft, Plan, list[str]], None]] = {
    "one attribute for each stage": _attributes,
    "stages in a Sequential": _chained,
    "stages in a loop over widths": _looped,
}


def _stages(plan: Plan) -> list[str]:
    return [f"{plan.helper}({cin}, {cout})" for cin, cout in zip(plan.widths, plan.widths[1:], strict=False)]


def _stem(rng: random.Random, plan: Plan) -> list[str]:
    style, width = plan.style, str(plan.widths[0])
    strided = plan.brief.downsampling == "strided convolution"
    stride = ", stride=2" if strided else ""
    modules = style.unit("in_shape[1]", width, rng.choice((3, 3, 3, 5)), stride)
    if WeakChoice.EARLY_POOLING in plan.weak_choices:
        return [*modules, f"nn.MaxPool2d({rng.choice((4, 8))})"]
    return modules if strided else [*modules, _pool(plan)]


def _halving(plan: Plan) -> str:
    width = plan.widths[plan.halve_after]
    strided = plan.brief.downsampling == "strided convolution"
    return f"nn.Conv2d({width}, {width}, 2, stride=2)" if strided else _pool(plan)


def _pool(plan: Plan) -> str:
    return "nn.AvgPool2d(2)" if plan.brief.downsampling == "average pooling" else "nn.MaxPool2d(2)"


def _classifier(rng: random.Random, plan: Plan, width: str) -> list[str]:
    dropout = _dropout(rng, plan)
    if plan.brief.head != "one hidden layer":
        return [*dropout, f"nn.Linear({width}, out_shape[0])"]
    hidden = rng.choice((32, 64))
    return [f"nn.Linear({width}, {hidden})", plan.style.act, *dropout, f"nn.Linear({hidden}, out_shape[0])"]


def _dropout(rng: random.Random, plan: Plan) -> list[str]:
    if WeakChoice.HEAVY_DROPOUT in plan.weak_choices:
        return [f"nn.Dropout({rng.choice((0.8, 0.9))})"]
    return ["nn.Dropout(0.1)"] if "dropout" in plan.brief.tricks else []
