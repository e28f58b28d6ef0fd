"""What a build has to say for itself."""

from typing import NamedTuple


class BuildReport(NamedTuple):
    """The arguments, and what came of them: `bytes` of the whole folder, `loss` in nats a token at the end."""

    seed: int
    steps: int
    files: int
    parameters: int
    vocabulary: int
    bytes: int
    loss: float
    tokens_per_prompt: float
    tokens_per_file: float
