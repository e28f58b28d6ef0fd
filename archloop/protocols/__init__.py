"""Evaluation protocols as versioned YAML files: what a candidate is trained on, how, and within which limits."""

from archloop.protocols.model import Protocol, load, names

__all__ = ["Protocol", "load", "names"]
