import pytest


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """Where kustomizations of combinations lie."""
    return tmp_path_factory.mktemp("kustomizations")
