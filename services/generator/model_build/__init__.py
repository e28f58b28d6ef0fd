"""Builds the tiny causal LM that ships with the project, from networks that the seed program writes."""
