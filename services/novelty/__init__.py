"""The novelty service."""
