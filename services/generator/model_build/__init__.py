"""Builds the tiny causal LM that ships with the project, from networks that the seed program writes."""

from services.generator.model_build.build import build
from services.generator.model_build.card import BuildReport

__all__ = ["BuildReport", "build"]
