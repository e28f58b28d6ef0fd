"""The seed program: writes networks of every family, as good and as bad as a generic LLM would."""

import random
from dataclasses import dataclass
from typing import NamedTuple

from archloop.contracts.values import Family
from services.generator.prompts import Wishes, wish
from services.generator.seeds import injected_defects, weak_choices
from services.generator.seeds.code_style import Hand
from services.generator.seeds.draft import Draft
from services.generator.seeds.families import BODIES
from services.generator.seeds.layout import Plan, plan_widths, write_features, write_head
from services.generator.seeds.training import write_training
from services.generator.seeds.weak_choices import Lapse

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
    """A file, what it was to be, and what is wrong with it: lapses of taste, and flaws that keep it from training."""

    code: str
    family: Family
    wishes: Wishes
    lapses: frozenset[Lapse]
    flaws: tuple[str, ...]


@dataclass(frozen=True)
class Mix:
    """How bad the authors are: shares of files with lapses of taste, as `lapses` draws them, and with a flaw."""

    sloppy: float = 1.0
    flawed: float = 0.3


def write(rng: random.Random, family: Family, wishes: Wishes | None = None, mix: Mix = Mix()) -> Seed:
    """One file of this family (see `prompts.DESCRIPTIONS`), answering these wishes or drawn ones."""
    wishes = wishes or wish(rng)
    chosen = weak_choices.draw(rng) if rng.random() < mix.sloppy else frozenset()
    plan = _plan(rng, family, wishes, chosen)
    draft = Draft()
    write_features(rng, draft, plan)
    write_head(rng, draft, plan)
    write_training(rng, draft, wishes, chosen)
    code = draft.text()
    if rng.random() >= mix.flawed:
        return Seed(code, family, wishes, chosen, ())
    flaw = rng.choice(injected_defects.fitting(code))
    return Seed(injected_defects.put(flaw, code, rng), family, wishes, chosen, (flaw,))


def _plan(rng: random.Random, family: Family, wishes: Wishes, chosen: frozenset[Lapse]) -> Plan:
    return Plan(
        hand=_hand(rng, wishes, chosen),
        body=rng.choice(BODIES[family]),
        helper=_HELPERS[family],
        wishes=wishes,
        lapses=chosen,
        widths=plan_widths(rng, wishes, chosen),
        halve_after=0 if Lapse.EARLY_POOLING in chosen else rng.randint(0, wishes.stages - 1),
    )


def _hand(rng: random.Random, wishes: Wishes, chosen: frozenset[Lapse]) -> Hand:
    saturating = Lapse.SATURATING in chosen
    return Hand(
        activation=rng.choice(("Sigmoid", "Sigmoid", "Tanh")) if saturating else wishes.activation,
        norm="" if Lapse.NO_NORM in chosen else rng.choices(("BatchNorm2d", "GroupNorm"), (5, 1))[0],
        groups=1 if Lapse.NARROW in chosen else 2,
        order=rng.choice(("conv norm act", "conv norm act", "conv act norm")),
        kernel=rng.choice((3, 3, 3, 5)),
        dim=rng.choice(("1", "dim=1")),
    )
