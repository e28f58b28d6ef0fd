"""Numbers and names on the command line: what is out of bounds is refused before anything is written."""

import pytest
from typer.testing import CliRunner

from archloop.errors import ArchloopError
from archloop_cli.commands import app

NUMBERS = [
    (("novelty", "net.py"), "--threshold", ["nan", "-nan", "inf", "-0.1", "1.1", "x"]),
    (("lemur", "curate", "c.sqlite"), "--threshold", ["nan", "inf", "-1", "2", "x"]),
    (("lemur", "curate", "c.sqlite"), "--quota", ["0", "-1", "1000001", "1.5", "nan"]),
    (("lemur", "pairs", "c.sqlite", "out"), "--seed", ["-1", "2147483648", "1e3", "nan"]),
    (("lemur", "pairs", "c.sqlite", "out"), "--count", ["0", "-1", "99999999999999999999"]),
    (("model", "pairs", "out"), "--count", ["0", "-5", "1000001"]),
    (("model", "pairs", "out"), "--seed", ["-1", "2147483648", "x"]),
    (("model", "pairs", "out"), "--edits", ["-0.1", "1.1", "nan", "half"]),
    (("model", "pairs", "out"), "--memory", ["-1", "2", "inf"]),
    (("model", "build"), "--seed", ["-1", "2147483648"]),
    (("data", "prepare", "leaves"), "--side", ["0", "-1", "4097", "32.5"]),
    (("study", "none"), "--at-once", ["0", "-1", "257"]),
    (("transfer", "run", "--protocols", "digits"), "--top", ["0", "-1", "1000001"]),
    (("proxy", "run"), "--epochs", ["1", "0", "-1", "10001"]),
    (("proxy", "run"), "--seed", ["-1", "2147483648"]),
    (("proxy", "run"), "--sample", ["3", "0", "-1", "1000001"]),
    (("run",), "--cycles", ["x", "1.5", "nan"]),
    (("candidates", "run"), "--cycle", ["-1", "1.5", "x"]),
    (("candidates", "run"), "--min-accuracy", ["nan", "-0.1", "1.1", "inf"]),
    (("candidates", "run"), "--limit", ["0", "-1", "1000001"]),
]
RUN_NUMBERS = [
    *((option, value) for option in ("--cycles", "--candidates") for value in ("0", "-1", "100001", "9" * 30)),
    *(("--seed", value) for value in ("-1", "2147483648", "9" * 30)),
    *(("--budget", f"tokens={value}") for value in ("0", "-1", "1.5", "nan", "x", "9" * 30, "true")),
    *(("--budget", f"wall_seconds={value}") for value in ("0", "-1", "nan", "inf", "1e300")),
    *(("--budget", f"cost={value}") for value in ("0", "-1", "nan", "inf", "-inf")),
    *(("--budget", value) for value in ("tokens", "=1", "nothing=1", "candidates=0", "evaluator_seconds=nan")),
    *(("--protocol", value) for value in ("", "nothing", "../x", "none.yaml")),
    *(("--name", value) for value in ("a/b", "../../x", "", ".x", "my run", "x" * 64, "a\nb", "[red]")),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [(command, option, value) for command, option, values in NUMBERS for value in values],
)
def test_a_number_out_of_bounds_is_a_usage_error(command, option, value):
    result = CliRunner().invoke(app, [*command, f"{option}={value}"])
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize(("option", "value"), RUN_NUMBERS)
def test_a_run_out_of_bounds_is_refused_in_one_line(option, value):
    result = CliRunner().invoke(app, ["run", "--protocol", "digits", f"{option}={value}"])
    assert isinstance(result.exception, ArchloopError), result.output
    assert result.exception.code in {"invalid_input", "not_found"}
    assert str(result.exception).isprintable()


@pytest.mark.parametrize("template", ["nope", "", "../brief", "brief.j2", "Brief"])
def test_a_template_that_is_none_is_told_before_the_run(template, tmp_path_factory):
    preset = tmp_path_factory.mktemp("preset") / "p.yaml"
    preset.write_text(f"cycles: 1\ncandidates: 1\nprotocol: digits\ngeneration: {{template: '{template}'}}\n")
    result = CliRunner().invoke(app, ["run", "--preset", str(preset)])
    assert isinstance(result.exception, ArchloopError), result.output
    assert "brief, exemplar, paper, short" in str(result.exception)
