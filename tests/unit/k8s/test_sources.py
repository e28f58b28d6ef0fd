"""Files that manifests take in whole are held as manifests are: whoever weakens one changes what is rendered of it."""

import shutil

import pytest

from tests.unit.k8s.allowed import refused
from tests.unit.k8s.manifests import ROOT, kustomized, loaded
from tests.unit.k8s.places import PLACES

FILTER, PROFILE = "seccomp/evaluator.json", "apparmor/archloop-evaluator"
TEMPLATE, DASHBOARD = "k8s/components/tgi-roll/template.yaml", "k8s/components/monitoring/dashboard.json"
ACCOUNT = "serviceAccountName: tgi\n      automountServiceAccountToken: false"
STARTER = "serviceAccountName: generator\n      automountServiceAccountToken: true"
WEAKENED = {
    "calls into the kernel's machine": ("cluster", FILTER, '["unshare",', '["bpf", "perf_event_open", "unshare",'),
    "a filter that only writes down": ("cluster", FILTER, 'Action": "SCMP_ACT_ERRNO"', 'Action": "SCMP_ACT_LOG"'),
    "sockets of every family": ("cluster", FILTER, '16, "op": "SCMP_CMP_EQ"', '99, "op": "SCMP_CMP_NE"'),
    "a profile that complains": ("cluster-apparmor", PROFILE, "(attach_", "(complain,attach_"),
    "a profile loaded to complain": ("cluster-apparmor", "k8s/cluster-apparmor/load.yaml", "--replace", "--complain"),
    "servers with the account that starts pods": ("overlays/tgi", TEMPLATE, ACCOUNT, STARTER),
    "servers from elsewhere": ("overlays/tgi", TEMPLATE, "ghcr.io/huggingface/", "docker.io/x/"),
    "a picture from elsewhere": ("overlays/gpu", DASHBOARD, '"title": "', '"title": "![](//x.example/)'),
    "one night kept": ("overlays/prod", "k8s/components/backup/backup.yaml", "[:-30]", "[:-1]"),
    "a lower level": ("overlays/dev", "k8s/base/evaluator/settings.env", "LEVEL=container", "LEVEL=process"),
}  # fmt: skip


@pytest.mark.parametrize("name", WEAKENED)
def test_a_weakened_file_is_refused(name, tmp_path):
    rendering, file, there, instead = WEAKENED[name]
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    path = tmp_path / "deploy" / file
    text = path.read_text()
    assert there in text
    path.write_text(text.replace(there, instead))
    assert list(refused(loaded(kustomized(tmp_path / "deploy/k8s" / rendering)), PLACES[rendering]))
