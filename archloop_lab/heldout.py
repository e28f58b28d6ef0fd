"""By which secret candidates are scored: accuracies by one are the same to the digit, by two within sampling noise."""

from collections.abc import Mapping
from typing import Any

from services.evaluator.settings import EvaluatorSettings

FIELD = "heldout_id"


def here() -> str:
    """Return the name of the secret that is used on this machine. Raises Misconfigured."""
    return EvaluatorSettings.load().secret().id


def otherwise(manifest: Mapping[str, Any]) -> str | None:
    """Say what follows where the run of this manifest was scored by another secret than here. Raises Misconfigured."""
    then, now = manifest.get(FIELD), here()
    if then == now:
        return None
    return (
        f"than then, by the secret {then}, now {now}: accuracies are comparable within sampling noise only, not to "
        f"the digit; the same secret is set as {EvaluatorSettings.variable('heldout_secret')}"
    )
