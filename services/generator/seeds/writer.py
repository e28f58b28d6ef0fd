"""The seed program: writes networks of every family, as good and as bad as a generic LLM would."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from archloop.contracts.values import Family
from services.generator.prompts import BriefParameters, draw_brief
from services.generator.seeds import injected_defects, weak_choices
from services.generator.seeds.code_style import CodeStyle
from services.generator.seeds.draft import Draft
from services.generator.seeds.families import BODIES
from services.generator.seeds.layout import Plan, plan_widths, write_features, write_head
from services.generator.seeds.training import write_training
from services.generator.seeds.weak_choices import WeakChoice

_HELPERS = {
    Family.PLAIN: "ConvUnit",
    Family.RESIDUAL: "SkipUnit",
    Family.DENSE: "GrowUnit",
    Family.INCEPTION: "Branches",
    Family.DEPTHWISE: "DepthUnit",
    Family.SQUEEZE_EXCITE: "ScaledUnit",
    Family.ATTENTION: "TokenMixer",
    Family.GATED: "GatedUnit",
}


class Seed(NamedTuple):
    """Seed network: its file, what it was to be, and its faults.

    `weak_choices` cost accuracy; `defects` keep it from being trained.
    """

    code: str
    family: Family
    brief: BriefParameters
    weak_choices: frozenset[WeakChoice]
    defects: tuple[str, ...]


@dataclass(frozen=True)
class Mix:
    """Shares of files with weak choices, which `weak_choices` draws, and of files with a defect."""

    sloppy: float = 1.0
    defective: float = 0.3


def write(rng: random.Random, family: Family, brief: BriefParameters | None = None, mix: Mix = Mix()) -> Seed:
    """Write one file of this family (see `prompts.DESCRIPTIONS`) for this brief or a drawn one."""
    brief = brief or draw_brief(rng)
    chosen = weak_choices.draw(rng) if rng.random() < mix.sloppy else frozenset()
    plan = _plan(rng, family, brief, chosen)
    draft = Draft()
    write_features(rng, draft, plan)
    write_head(rng, draft, plan)
    write_training(rng, draft, brief, chosen)
    code = draft.text()
    if rng.random() >= mix.defective:
        return Seed(code, family, brief, chosen, ())
    defect = rng.choice(injected_defects.fitting(code))
    return Seed(injected_defects.put(defect, code, rng), family, brief, chosen, (defect,))


def _plan(rng: random.Random, family: Family, brief: BriefParameters, chosen: frozenset[WeakChoice]) -> Plan:
    return Plan(
        style=_style(rng, brief, chosen),
        body=rng.choice(BODIES[family]),
        helper=_HELPERS[family],
        brief=brief,
        weak_choices=chosen,
        widths=plan_widths(rng, brief, chosen),
        halve_after=0 if WeakChoice.EARLY_POOLING in chosen else rng.randint(0, brief.stages - 1),
    )


def _style(rng: random.Random, brief: BriefParameters, chosen: frozenset[WeakChoice]) -> CodeStyle:
    saturating = WeakChoice.SATURATING in chosen
    return CodeStyle(
        activation=rng.choice(("Sigmoid", "Sigmoid", "Tanh")) if saturating else brief.activation,
        norm="" if WeakChoice.NO_NORM in chosen else rng.choices(("BatchNorm2d", "GroupNorm"), (5, 1))[0],
        groups=1 if WeakChoice.NARROW in chosen else 2,
        order=rng.choice(("conv norm act", "conv norm act", "conv act norm")),
        kernel=rng.choice((3, 3, 3, 5)),
        dim=rng.choice(("1", "dim=1")),
    )
