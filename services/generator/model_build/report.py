"""Report of a build."""

from typing import NamedTuple


class BuildReport(NamedTuple):
    """Arguments and results of a build: `bytes` of the whole folder, `loss` in nats per token at the end."""

    seed: int
    steps: int
    files: int
    parameters: int
    vocabulary: int
    bytes: int
    loss: float
    tokens_per_prompt: float
    tokens_per_file: float
