"""Seed networks: the corpus from which the shipped tiny LM learns to write."""

from services.generator.seeds.design import Design, draw, mutate
from services.generator.seeds.writer import Seed, render, write

__all__ = ["Design", "Seed", "draw", "mutate", "render", "write"]
