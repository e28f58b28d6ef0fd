"""Every object is one that Kubernetes takes, in the oldest, a recent and the newest version that we know."""

import json

import pytest

from tests.servers.process import ServerMissing, required
from tests.unit.k8s.manifests import RENDERINGS, of_kind, rendered

pytestmark = pytest.mark.slow

VERSIONS = ("1.31", "1.34", "1.37")
# Of operators: what kubernetes-validate has no schema for.
FOREIGN = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1", "external-secrets.io/v1"}


def validator():
    with required("kubernetes-validate"):
        try:
            import kubernetes_validate
        except ImportError as error:
            raise ServerMissing("it is in the extra dev") from error
    return kubernetes_validate


def distinct(scratch):
    """Every object of every rendering once, with one that has it."""
    found = {json.dumps(each, sort_keys=True): name for name in RENDERINGS for each in rendered(name, scratch)}
    return [(name, json.loads(text)) for text, name in found.items()]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(version, scratch):
    validate, wrong = validator(), []
    for name, each in distinct(scratch):
        if each["apiVersion"] not in FOREIGN:
            try:
                validate.validate(each, version, strict=True)
            except validate.ValidationError as error:
                wrong.append(f"{name}: {each['kind']}/{each['metadata']['name']}: {error.message}")
    assert not wrong


def test_what_is_misspelt_is_refused(scratch):
    validate = validator()
    deployment = of_kind(rendered("overlays/dev", scratch), "Deployment")[0]
    deployment["spec"]["template"]["spec"]["securityContext"]["runAsNonRot"] = True
    with pytest.raises(validate.ValidationError):
        validate.validate(deployment, VERSIONS[-1], strict=True)
