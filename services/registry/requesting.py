"""Checks of a run's spec before the run begins, whichever way it was asked for."""

from collections.abc import Collection

from archloop import protocols, templates
from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput


def check(spec: RunSpec, base_models: Collection[str]) -> None:
    """Check a spec. Raises InvalidInput or NotFound for what the services could never do.

    Without `base_models` any may be asked for.
    """
    protocols.load(spec.protocol)
    _require_known("spec.generation.template", spec.generation.template, templates.names())
    if base_models:
        _require_known("spec.base_model", spec.base_model, base_models)
    if spec.bootstrap is not None and spec.bootstrap.pairs is None:
        raise InvalidInput("spec.bootstrap.pairs", None, "a reference to pairs, as POST /pairs answers")


def _require_known(field: str, given: str, known: Collection[str]) -> None:
    if given not in known:
        raise InvalidInput(field, given, f"one of {', '.join(known)}")
