"""nn-dataset's own rules for names and identities: `ab/nn/util` of version 2.1.2, Util, Train and db.Write."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

TASK, METRIC = "img-classification", "acc"
MEASURED = ("uid", "duration", "accuracy")
_SPLITTER = "_"


class Config(NamedTuple):
    """What was trained on what: the name of a folder below `stat/train`. No part has an underscore."""

    task: str
    dataset: str
    metric: str
    nn: str

    @classmethod
    def of(cls, folder: str) -> Self | None:
        """Read the name of a folder; None if it has not four parts."""
        parts = folder.split(_SPLITTER)
        return cls(*parts) if len(parts) == len(cls._fields) and all(parts) else None

    @property
    def folder(self) -> str:
        """The name."""
        return _SPLITTER.join(self)


def uuid4(value: object) -> str:
    """Return their `uuid4`, which is no UUID: the MD5 of the value's text without any white space."""
    text = re.sub(r"\s", "", str(value))
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def nn_name(code: str, prefix: str) -> str:
    """Name an architecture, for its file and wherever it is referred to."""
    return f"{prefix}-{uuid4(code)}"


def nn_prefix(name: str) -> str:
    """Tell where an architecture comes from: `ga`, `rag`, `alt` and so on; of a hand-made one, what it is called."""
    return name.partition("-")[0]


def prm_uid(prm: Mapping[str, Any]) -> str:
    """Name a set of hyper-parameters. The order of the keys counts; in files it is the alphabet's."""
    return uuid4({name: value for name, value in prm.items() if name not in (*MEASURED, "epoch")})


def stat_id(config: Config, epoch: int, trial: Mapping[str, Any]) -> str:
    """Name one trial."""
    return uuid4([trial["transform"], trial["uid"], *config, epoch, trial["duration"], trial["accuracy"]])
