import pytest

from tests.unit.k8s import fitting_rules, scaling_rules, server_rules  # noqa: F401 - they register


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """Where kustomizations of combinations lie."""
    return tmp_path_factory.mktemp("kustomizations")
