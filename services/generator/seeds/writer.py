"""The seed program: writes networks of every family as their designs say."""

import random
from typing import NamedTuple

from archloop.contracts.values import Family
from services.generator.prompts import BriefParameters, draw_brief
from services.generator.seeds.design import Design, draw
from services.generator.seeds.draft import Draft
from services.generator.seeds.layout import write_features, write_head
from services.generator.seeds.training import write_training


class Seed(NamedTuple):
    """Seed network: its file, and what it was to be."""

    code: str
    family: Family
    brief: BriefParameters
    design: Design


def write(rng: random.Random, family: Family, brief: BriefParameters | None = None) -> Seed:
    """Write one file of this family (see `prompts.DESCRIPTIONS`) for this brief or a drawn one."""
    brief = brief or draw_brief(rng)
    design = draw(rng, family, brief)
    return Seed(render(design), family, brief, design)


def render(design: Design) -> str:
    """Return the file of this design; the same design gives the same file."""
    draft = Draft()
    write_features(draft, design)
    write_head(draft, design)
    write_training(draft, design.training)
    return draft.text()
