"""The data sets of the offline protocols, as plain arrays: nothing here imports torch, nothing is downloaded."""

from services.evaluator.datasets.dataset import Dataset
from services.evaluator.datasets.loading import load, names

__all__ = ["Dataset", "load", "names"]
