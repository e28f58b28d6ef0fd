"""A LEMUR of a few networks: as a folder, as a wheel, and as nn-dataset's database."""

import json
import sqlite3
import zipfile
from pathlib import Path

TRIAL = {"accuracy": 0.5, "batch": 64, "dropout": 0.2, "duration": 7, "lr": 0.01, "momentum": 0.9}
PLAIN = """import torch
import torch.nn as nn


def supported_hyperparameters():
    return {'lr', 'momentum'}


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.device = device
        self.features = nn.Sequential(
            nn.Conv2d(in_shape[1], 24, 3, padding=1), nn.BatchNorm2d(24), nn.GELU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.GELU(), nn.MaxPool2d(2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(48, out_shape[0])

    def forward(self, x):
        x = self.features(x)
        x = self.pool(x)
        return self.head(x.flatten(1))

    def train_setup(self, prm):
        self.criteria = (nn.CrossEntropyLoss(label_smoothing=0.1),)
        self.optimizer = torch.optim.SGD(self.parameters(), lr=prm['lr'], momentum=prm['momentum'])

    def learn(self, train_data):
        for inputs, labels in train_data:
            self.optimizer.zero_grad()
            loss = self.criteria[0](self(inputs), labels)
            loss.backward()
            self.optimizer.step()
"""
RENAMED = PLAIN.replace("self.features", "self.body").replace(
    "\n\n    def forward", "\n\n    # onwards\n    def forward"
)
RESIZED = PLAIN.replace("48", "56")
RESIDUAL = PLAIN.replace("        x = self.pool(x)\n", "        x = self.pool(x + torch.relu(x))\n")
NO_LEARN = (
    PLAIN.replace("    def learn", "    def study").replace("nn.GELU()", "nn.SiLU()").replace("MaxPool", "AvgPool")
)
HOSTILE = "open('ran', 'w').write('!')\nraise SystemExit(3)\n"
CODES = {
    "ga-1": PLAIN,
    "ga-2": RENAMED,
    "ga-3": RESIZED,
    "alt-9": PLAIN,
    "rag-1": RESIDUAL,
    "rag-2": NO_LEARN,
    "bad-1": "def Net(:\n",
    "bad-2": HOSTILE,
}
ACCURACIES = {"ga-1": 0.6, "ga-2": 0.5, "ga-3": 0.4, "alt-9": 0.3, "rag-1": 0.2, "rag-2": 0.2}
SCHEMA = """
CREATE TABLE nn (name TEXT PRIMARY KEY, code TEXT NOT NULL, id TEXT NOT NULL);
CREATE TABLE prm (uid TEXT NOT NULL, name TEXT NOT NULL, value OBJECT NOT NULL);
CREATE TABLE stat (id TEXT PRIMARY KEY, accuracy REAL, epoch INTEGER, duration INTEGER, task, dataset, nn, transform,
    metric, prm);
"""


def trial(accuracy: float, **changes: object) -> dict[str, object]:
    return {**TRIAL, "accuracy": accuracy, "transform": "norm_32", "uid": f"u{accuracy}", **changes}


def folder(root: Path, codes: dict[str, str] = CODES) -> Path:
    """Two trials of the first epoch and one of the second for every network that has an accuracy."""
    for name, code in codes.items():
        write(root, f"ab/nn/nn/{name}.py", code)
    for name, accuracy in ACCURACIES.items():
        if name in codes:
            stat(root, f"img-classification_cifar-10_acc_{name}", json.dumps([trial(accuracy), trial(accuracy / 2)]))
            stat(root, f"img-classification_cifar-10_acc_{name}", json.dumps([trial(0.9)]), epoch=2)
    return root


def stat(root: Path, config: str, content: str, epoch: int = 1) -> None:
    write(root, f"ab/nn/stat/train/{config}/{epoch}.json", content)


def write(root: Path, name: str, content: str | bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def wheel(root: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in root.rglob("*.*"):
            archive.write(file, file.relative_to(root))
    return path


def database(path: Path) -> Path:
    """What nn-dataset would make of the folder."""
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO nn VALUES (?, ?, 'x')", CODES.items())
        for name, accuracy in ACCURACIES.items():
            for epoch, value in ((1, accuracy), (1, accuracy / 2), (2, 0.9)):
                _insert(db, name, epoch, trial(value))
    return path


def _insert(db: sqlite3.Connection, name: str, epoch: int, values: dict[str, object]) -> None:
    from archloop_lab.lemur.rules import Config, stat_id

    config = Config("img-classification", "cifar-10", "acc", name)
    prm = {key: value for key, value in values.items() if key not in ("uid", "accuracy", "duration")}
    db.executemany("INSERT INTO prm VALUES (?, ?, ?)", [(values["uid"], key, value) for key, value in prm.items()])
    db.execute(
        "INSERT INTO stat VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            stat_id(config, epoch, values),
            values["accuracy"],
            epoch,
            values["duration"],
            *config[:2],
            name,
            "norm_32",
            "acc",
            values["uid"],
        ),
    )
