"""LEMUR, the data set of neural networks, in and out: import, curation, training pairs, export."""

from archloop_cli.lemur.commands import app

__all__ = ["app"]
