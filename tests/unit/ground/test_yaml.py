"""Files are read as YAML 1.2 has it: what its version 1.1 makes of some words and numbers is never what was meant."""

import pytest
import yaml
from pydantic import BaseModel

from archloop.errors import InvalidInput
from archloop.validation import checked, parsed

TEXTS = ["1:30", "12:30:45", "-1:30.5", "010", "0o10", "0x1F", "0b11", "1_000", "1_0.5", "1e3", "1e-5", "="]
TEXTS += ["yes", "No", "ON", "off", "y", "2024-01-01", "2001-12-14t21:59:43.10-05:00"]
VALUES = {"true": True, "False": False, "null": None, "~": None, "": None, "0": 0, "-3": -3, "+7": 7, "1.5": 1.5}
VALUES |= {"3.": 3.0, ".5": 0.5, "1.0e-05": 1e-05, "-.inf": float("-inf"), "9" * 30: int("9" * 30)}


class Settings(BaseModel):
    """A file's fields."""

    count: int = 1
    rate: float = 1.0
    name: str = ""


@pytest.mark.parametrize("text", TEXTS)
def test_words_and_numbers_of_1_1_are_text(text):
    assert parsed(f"a: {text}\nb: [{text}]\n", "file") == {"a": text, "b": [text]}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_those_of_1_2_are_what_they_say(text, value):
    assert parsed(f"a: {text}\n", "file") == {"a": value}


@pytest.mark.parametrize("text", ["1:30", "yes", "2024-01-01", "0x10", "0b1", "off"])
def test_what_is_no_number_is_refused_where_one_is_wanted(text):
    with pytest.raises(InvalidInput, match=rf"file: count.*{text}"):
        checked(Settings, parsed(f"count: {text}", "file"), "file")


@pytest.mark.parametrize("text", ["1:30", "no", "2024-01-01", "010", "1_000", "1e3"])
def test_a_name_may_be_such_a_word(text):
    assert checked(Settings, parsed(f"name: {text}", "file"), "file").name == text


@pytest.mark.parametrize(("text", "count"), [("010", 10), ("1_000", 1000), ("'7'", 7)])
def test_digits_are_a_decimal_number_where_one_is_wanted(text, count):
    assert checked(Settings, parsed(f"count: {text}", "file"), "file").count == count


@pytest.mark.parametrize(
    "value", ["1:30", "yes", "1e3", "010", "null", "1.5", 1e-05, 10**20, -2.5, True, None, "", "~"]
)
def test_what_is_written_is_read_back(value):
    assert parsed(yaml.safe_dump({"a": value}), "file") == {"a": value}
