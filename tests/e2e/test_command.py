"""What the command says to wrong input, and its small commands."""

import json
from pathlib import Path

import pytest

from tests.support import archloop, refusal

pytestmark = pytest.mark.timeout(120)

NET = """
import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum'}


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(in_shape[1] * in_shape[2] * in_shape[3], WIDTH), nn.ReLU())
        self.head = nn.Linear(WIDTH, out_shape[0])

    def forward(self, x):
        return self.head(self.body(x))

    def train_setup(self, prm):
        self.criteria = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm['lr'], momentum=prm['momentum'])

    def learn(self, train_data):
        for x, y in train_data:
            self.optimizer.zero_grad()
            self.criteria(self(x), y).backward()
            self.optimizer.step()
"""


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run", "--preset", "nonsense"], ["preset", "nonsense", "demo"]),
        (["run", "--protocol", "nonsense"], ["protocol", "nonsense", "shapes"]),
        (["run", "--cycles", "-3"], ["cycles", "-3", "greater than or equal to 1"]),
        (["resume", "nowhere"], ["nowhere", "manifest.json"]),
        (["evaluate", "missing.py"], ["missing.py"]),
        (["parked", "list", "--run", "nowhere"], ["nowhere"]),
    ],
)
def test_wrong_input_is_one_line_that_names_the_thing(arguments: list[str], named: list[str]) -> None:
    line = refusal(*arguments)
    assert [word for word in named if word not in line] == []


def test_a_process_says_that_line_alone_and_exits_with_1() -> None:
    result = archloop("run", "--preset", "nonsense")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert refusal("run", "--preset", "nonsense") in line


def test_evaluate_prints_one_json_line_a_file(tmp_path: Path) -> None:
    good, broken = tmp_path / "good.py", tmp_path / "broken.py"
    good.write_text(NET.replace("WIDTH", "64"))
    broken.write_text("class Net(:\n")
    result = archloop("evaluate", good, broken, "--protocol", "digits", "--json")
    assert result.returncode == 0, result.stderr
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["file"], first["outcome"], first["sandbox_level"]) == (str(good), "ok", "namespaces")
    assert 0.3 < first["accuracy"] <= 1
    assert first["parameters"] == 16 * 16 * 64 + 64 + 64 * 10 + 10
    assert (second["outcome"], second["accuracy"]) == ("syntax_error", None)


def test_novelty_tells_a_renamed_copy_from_another_size(tmp_path: Path) -> None:
    (tmp_path / "1.py").write_text(NET.replace("WIDTH", "64"))
    (tmp_path / "2.py").write_text(NET.replace("WIDTH", "64").replace("body", "trunk"))
    result = archloop("novelty", tmp_path, "--threshold", "0.85", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["verdict"], second["verdict"], second["similarity"]) == ("novel", "exact_duplicate", 1.0)


def test_doctor_finds_what_a_run_needs() -> None:
    result = archloop("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)}
    assert findings["model tiny"]["ok"]
    assert result.returncode == 0, findings
