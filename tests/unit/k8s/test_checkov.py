"""Checkov finds nothing but what the manifests say why. It is too much to install for this alone: run where it is."""

import shutil
import subprocess

import pytest

from tests.unit.k8s.manifests import K8S, OVERLAYS, kustomized


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("checkov") is None, reason="no checkov here")
def test_checkov_finds_nothing(tmp_path):
    for name in OVERLAYS:
        (tmp_path / f"{name.replace('/', '-')}.yaml").write_text(kustomized(K8S / name))
    command = ["checkov", "--config-file", K8S / ".checkov.yaml", "--directory", tmp_path, "--output", "cli"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
