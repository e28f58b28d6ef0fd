"""Schemas of every kind that is rendered: Kubernetes' own in three versions, operators' copied in schemas/."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator, Registry

from tests.servers.process import ServerMissing, required
from tests.unit.k8s.manifests import Manifest

VERSIONS = ("1.31", "1.34", "1.37")  # the oldest, a recent and the newest that we know
OURS = Path(__file__).with_name("schemas")


class Unknown(Exception):
    """There is no schema for the object."""


@cache
def _folder(version: str) -> Path:
    with required("kubernetes-validate"):
        found = find_spec("kubernetes_validate")
        if found is None or found.origin is None:
            raise ServerMissing("it is in the extra dev")
    return Path(found.origin).parent / f"kubernetes-json-schema/v{version}.0-local-strict"


@cache
def _registry(version: str) -> Registry:
    """What the schemas of a version refer to; reading it costs more than all that is checked by it."""
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    return Registry([(definitions["$id"], definitions)])


@cache
def _validator(version: str, api: str, kind: str) -> Draft202012Validator:
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    theirs, ours = _folder(version) / f"{kind.lower()}-{group}.json", OURS / f"{kind.lower()}.json"
    if theirs.exists():
        return Draft202012Validator(json.loads(theirs.read_text()), registry=_registry(version))
    if not ours.exists():
        raise Unknown(f"{api} {kind}")
    return Draft202012Validator(json.loads(ours.read_text()))


def wrong(each: Manifest, version: str) -> Iterator[str]:
    """What the schema of this version of Kubernetes has against the object. Raises Unknown."""
    for error in _validator(version, each["apiVersion"], each["kind"]).iter_errors(each):
        at: Mapping[int, Any] = dict(enumerate(error.instance_path))
        yield f"{each['kind']}/{each['metadata']['name']}: {'.'.join(map(str, at.values()))}: {error.message}"
