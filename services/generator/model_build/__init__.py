"""Builds the tiny causal LM that ships with the project, from networks that the seed program writes."""

from services.generator.model_build.build import build
from services.generator.model_build.report import BuildReport

__all__ = ["BuildReport", "build"]
