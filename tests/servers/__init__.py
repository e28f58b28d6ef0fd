"""Servers for tests. What runs one of them as a process imports nothing of the others."""
