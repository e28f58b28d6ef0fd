"""Seed networks: the corpus from which the shipped tiny LM learns to write."""

from services.generator.seeds.writer import Mix, Seed, write

__all__ = ["Mix", "Seed", "write"]
