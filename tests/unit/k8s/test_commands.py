"""What the manifests have run by itself: the backup of signatures and its way back, the filter, the Secrets."""

import json
import sqlite3
import subprocess
import sys

import pytest
import yaml

from archloop_cli import environment
from tests.unit.k8s.manifests import K8S, ROOT, named, pods, rendered
from tests.unit.k8s.test_settings import SECRETS


def script(objects, cronjob, tmp_path):
    """The Python of the container `novelty`, with the disks of the pod below `tmp_path`."""
    spec = named(objects, "CronJob", cronjob)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    text = spec["containers"][0]["args"][0]
    return text.replace('"/backups', f'"{tmp_path}/backups').replace('"/signatures/', f'"{tmp_path}/signatures/')


def run(text):
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout


def rows(path):
    with sqlite3.connect(path) as database:
        return database.execute("SELECT * FROM t ORDER BY 1").fetchall()


def test_signatures_are_saved_while_they_are_written_and_come_back(scratch, tmp_path):
    objects = rendered("overlays/prod", scratch)
    (tmp_path / "backups").mkdir()
    (tmp_path / "signatures").mkdir()
    store = tmp_path / "signatures/signatures.sqlite"
    database = sqlite3.connect(store)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (a)")
    database.execute("INSERT INTO t VALUES (1)")
    database.commit()
    run(script(objects, "backup", tmp_path))  # with the writer still there
    database.close()
    for path in (tmp_path / "signatures").iterdir():
        path.unlink()
    assert "restored" in run(script(objects, "restore", tmp_path))
    assert rows(store) == [(1,)]
    assert [path.suffix for path in (tmp_path / "backups/novelty").iterdir()] == [".sqlite"]


def test_of_signatures_a_month_of_nights_is_kept(scratch, tmp_path):
    folder = tmp_path / "backups/novelty"
    folder.mkdir(parents=True)
    (tmp_path / "signatures").mkdir()
    sqlite3.connect(tmp_path / "signatures/signatures.sqlite").close()
    for day in range(1, 36):
        (folder / f"20250101T0217{day:02}Z.sqlite").touch()
    run(script(rendered("overlays/prod", scratch), "backup", tmp_path))
    kept = sorted(path.name for path in folder.iterdir())
    assert len(kept) == 30
    assert kept[0] == "20250101T021707Z.sqlite"


def test_a_node_without_apparmor_is_left_as_it_is(scratch):
    daemon = named(rendered("cluster-apparmor", scratch), "DaemonSet", "evaluator-filter")["spec"]["template"]["spec"]
    load = next(each for each in daemon["initContainers"] if each["name"] == "load")
    assert subprocess.run(load["command"], capture_output=True, text=True, check=True).stdout == "no AppArmor here\n"


@pytest.mark.parametrize("knows_userns", [True, False])
def test_apparmors_profile_is_loaded_with_user_namespaces_where_the_parser_knows_them(knows_userns, scratch, tmp_path):
    daemon = named(rendered("cluster-apparmor", scratch), "DaemonSet", "evaluator-filter")["spec"]["template"]["spec"]
    load = next(each for each in daemon["initContainers"] if each["name"] == "load")["command"]
    (tmp_path / "enabled").write_text("Y\n")
    (tmp_path / "bin").mkdir()
    refuses = "" if knows_userns else "if grep -q '^  userns,' $0.in; then exit 1; fi; "
    parser = tmp_path / "bin/chroot"
    parser.write_text(f"#!/bin/sh\ncat > $0.in\n{refuses}cp $0.in {tmp_path}/loaded; echo $* > {tmp_path}/asked\n")
    parser.chmod(0o755)
    text = load[2].replace("/host/sys/module/apparmor/parameters/enabled", f"{tmp_path}/enabled")
    text = text.replace("/profile/archloop-evaluator", str(ROOT / "deploy/apparmor/archloop-evaluator"))
    subprocess.run([*load[:2], text], check=True, env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert (tmp_path / "asked").read_text() == "/host apparmor_parser --replace --skip-cache\n"
    assert ("\n  userns," in (tmp_path / "loaded").read_text()) is knows_userns


def test_the_restore_waits_for_a_person(scratch):
    spec = named(rendered("overlays/prod", scratch), "CronJob", "restore")["spec"]
    assert spec["suspend"] is True


def test_saved_and_restored_are_the_same_place(scratch):
    objects = rendered("overlays/prod", scratch)
    commands = {
        pod.owner["metadata"]["name"]: pod.containers[0]["command"] for pod in pods(objects) if "CronJob" in pod.name
    }
    module = ["python", "-m", "services.registry.backup"]
    assert commands == {
        "backup": [*module, "save", "/backups/registry", "--keep", "30"],
        "restore": [*module, "restore", "/backups/registry"],
    }


def test_the_filter_on_the_nodes_is_the_one_of_compose(scratch):
    objects = rendered("cluster", scratch)
    daemon = named(objects, "DaemonSet", "evaluator-filter")["spec"]["template"]["spec"]
    held = named(objects, "ConfigMap", daemon["volumes"][0]["configMap"]["name"])["data"]["evaluator.json"]
    assert held == (ROOT / "deploy/seccomp/evaluator.json").read_text()
    evaluator = named(rendered("overlays/dev", scratch), "Deployment", "evaluator")["spec"]["template"]["spec"]
    profile = evaluator["containers"][0]["securityContext"]["seccompProfile"]["localhostProfile"]
    assert f"/var/lib/kubelet/seccomp/{profile}" == daemon["volumes"][1]["hostPath"]["path"] + "/evaluator.json"


def test_the_filter_means_the_same_to_docker_and_to_kubernetes():
    """Runtimes there read the OCI's form, which has none of Docker's conditions; both ignore what they do not know."""
    profile = json.loads((ROOT / "deploy/seccomp/evaluator.json").read_text())
    assert profile.keys() - {"archMap"} == {"defaultAction", "defaultErrnoRet", "syscalls"}
    for each in profile["syscalls"]:
        assert each.keys() <= {"comment", "names", "action", "errnoRet", "args"}


def allowed_by_the_filter(*, whatever_its_arguments):
    profile = json.loads((ROOT / "deploy/seccomp/evaluator.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    return {
        name
        for each in profile["syscalls"]
        for name in each["names"]
        if each["action"] == "SCMP_ACT_ALLOW" and not (whatever_its_arguments and each.get("args"))
    }


@pytest.mark.parametrize(
    "names",
    [
        "bpf perf_event_open", "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd",
        "init_module finit_module delete_module kexec_load kexec_file_load reboot", "io_uring_setup userfaultfd",
        "add_key keyctl request_key", "open_by_handle_at name_to_handle_at mknod mknodat", "iopl ioperm modify_ldt",
        "swapon swapoff quotactl acct settimeofday clock_settime adjtimex syslog", "chroot personality",
        "fsopen fsmount fspick move_mount open_tree",
    ],
)  # fmt: skip
def test_the_filter_refuses_what_no_sandbox_is_made_of(names):
    assert not allowed_by_the_filter(whatever_its_arguments=False) & set(names.split())


def test_the_filter_looks_at_what_sockets_and_processes_are_made_with():
    assert not allowed_by_the_filter(whatever_its_arguments=True) & {"socket", "clone", "clone3"}


def test_the_filter_arrives_whole(scratch, tmp_path):
    daemon = named(rendered("cluster", scratch), "DaemonSet", "evaluator-filter")["spec"]["template"]["spec"]
    (tmp_path / "filter").mkdir()
    (tmp_path / "node").mkdir()
    (tmp_path / "filter/evaluator.json").write_text("{}")
    command = daemon["initContainers"][0]["command"]
    text = command[2].replace("/filter/", f"{tmp_path}/filter/").replace("/node/", f"{tmp_path}/node/")
    subprocess.run([*command[:2], text], check=True)
    assert [path.name for path in (tmp_path / "node").iterdir()] == ["evaluator.json"]


@pytest.mark.parametrize("namespace", ["archloop", "second"])
def test_the_secrets_are_those_that_the_pods_ask_for(namespace, tmp_path):
    environment.write(tmp_path / "env")
    command = ["sh", K8S / "secrets.sh", tmp_path / "env"]
    text = subprocess.run(command, env={"NAMESPACE": namespace}, capture_output=True, text=True, check=True).stdout
    made = {each["metadata"]["name"]: each["stringData"] for each in yaml.safe_load_all(text)}
    assert {name: set(keys) for name, keys in made.items()} == SECRETS
    assert made["broker"]["management-url"].endswith(f"@rabbitmq.{namespace}:15672/")
    secrets = [*made["registry"].values(), *made["evaluator"].values()]
    assert [len(each) for each in secrets] == [64] * 3
    secrets += [made["objects"]["secret-key"], *(made[name]["password"] for name in ("broker", "documents"))]
    assert len(set(secrets)) == len(secrets)


def test_secrets_from_a_store_of_secrets_are_the_same_but_for_the_stores_own(scratch):
    found = {}
    for each in rendered("overlays/prod", scratch):
        if each["kind"] == "ExternalSecret":
            assert each["spec"]["target"]["name"] == each["metadata"]["name"]
            found[each["metadata"]["name"]] = {row["secretKey"] for row in each["spec"]["data"]}
    assert found == {name: keys - {"password"} for name, keys in SECRETS.items()}
