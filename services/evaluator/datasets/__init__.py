"""Data sets as plain arrays: bundled with a package, drawn, or prepared before. Loading imports no torch."""

from services.evaluator.datasets.dataset import Dataset
from services.evaluator.datasets.loading import load, names

__all__ = ["Dataset", "load", "names"]
