"""Precedence: flag, environment, file, default; and one clear line for every bad value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dnc_edge import config
from dnc_edge.cli import options
from dnc_edge.edge import Edge
from dnc_edge.errors import UsageError
from dnc_edge.settings import known, option, setting


def write_file(text: str) -> None:
    Path(os.environ["DNC_EDGE_CONFIG"]).write_text(text, encoding="utf-8")


def test_defaults_without_any_source() -> None:
    assert config.load({}, environment={}) == config.Settings()


def test_flag_beats_environment_beats_file_beats_default() -> None:
    write_file('solver = "openai:a"\nthreads = 3\ntemperature = 0.5\n')
    environment = {"DNC_EDGE_SOLVER": "openai:b", "DNC_EDGE_THREADS": "4"}
    settings = config.load({"solver": "openai:c", "threads": None}, environment=environment)
    assert (settings.solver, settings.threads, settings.temperature, settings.top_p) == ("openai:c", 4, 0.5, 1.0)


@pytest.mark.parametrize(
    ("flags", "environment", "file", "complaint"),
    [
        ({"strategy": "recursive"}, {}, "", "--strategy: unknown strategy 'recursive'"),
        ({"mode": "loud"}, {}, "", "--mode: unknown mode 'loud'"),
        ({"threads": 0}, {}, "", "--threads: 0 is out of range"),
        ({"threads": 10_000}, {}, "", "--threads: 10000 is out of range"),
        ({}, {"DNC_EDGE_TOP_P": "two"}, "", "DNC_EDGE_TOP_P: 'two' is not a number"),
        ({}, {}, "theme = 'dark'", "there is no setting theme"),
        ({}, {}, "threads = true", "True is not a whole number"),
        ({"max_subquestions": 2.9}, {}, "", "--max-subquestions: 2.9 is not a whole number"),
        ({}, {"DNC_EDGE_SHOTS": "1.5"}, "", "DNC_EDGE_SHOTS: '1.5' is not a whole number"),
        ({}, {}, "max_tokens = inf", "inf is not a whole number"),
        ({}, {}, "temperature = nan", "nan is out of range"),
        ({"seed": -1}, {}, "", "--seed: -1 is out of range"),
        ({}, {}, "threads =", "not TOML"),
    ],
)
def test_a_bad_value_is_named_with_its_source(
    flags: dict[str, object], environment: dict[str, str], file: str, complaint: str
) -> None:
    if file:
        write_file(file)
    with pytest.raises(UsageError, match=complaint.replace("(", r"\(")):
        config.load(flags, environment=environment)


def test_flags_change_settings_that_are_given_and_both_are_checked() -> None:
    settings = config.Settings(solver="openai:a", threads=2)
    with Edge(settings, solver="openai:b", max_subquestions=3) as edge:
        assert (edge.settings.solver, edge.settings.threads, edge.settings.max_subquestions) == ("openai:b", 2, 3)
    with pytest.raises(UsageError, match="there is no setting colour"):
        Edge(settings, colour="red")
    with pytest.raises(UsageError, match="Settings.seed: -1 is out of range"):
        Edge(config.Settings(seed=-1))


def test_a_setting_added_in_one_place_is_read_from_file_environment_edge_and_option(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Wider(config.Settings):
        beams: int = setting(1, "plans compared", short="-b", within=(1, 4))

    monkeypatch.setattr(config, "Settings", Wider)
    app, seen = typer.Typer(), []

    @app.command()
    @options.settings("beams", "level")
    def command(*, settings: options.Given) -> None:
        seen.append(settings)

    def beams(settings: Any) -> int:
        return int(settings.beams)

    assert beams(config.load({}, environment={"DNC_EDGE_BEAMS": "3"})) == 3
    write_file("beams = 2")
    assert beams(config.load({}, environment={})) == 2
    with Edge(beams=4) as edge:
        assert beams(edge.settings) == 4
    with pytest.raises(UsageError, match="--beams: 5 is out of range"):
        Edge(beams=5)
    run = CliRunner()
    assert run.invoke(app, ["-b", "3"]).exit_code == run.invoke(app, ["--beams", "2"]).exit_code == 0
    assert seen == [{"beams": 3, "level": None}, {"beams": 2, "level": None}]
    assert "plans compared" in run.invoke(app, ["--help"]).output


def test_an_option_with_the_name_of_a_setting_is_that_setting_in_every_command() -> None:
    """But for `--seed` of benches, which draws questions, and `--level` of `students pull`, which chooses files."""
    from dnc_edge.cli.main import build

    settings, checked = known(config.Settings), 0

    def check(command: Any, path: str) -> None:
        nonlocal checked
        for name, inner in getattr(command, "commands", {}).items():
            check(inner, f"{path} {name}".strip())
        for parameter in command.params:
            drawn = parameter.name == "seed" and path.startswith("bench")
            other = parameter.param_type_name != "option" or path.startswith(("students", "provider-batch"))
            if parameter.name not in settings or drawn or other:
                continue
            flags = {option(parameter.name), settings[parameter.name].metadata["short"]} - {None}
            assert set(parameter.opts) == flags, (path, parameter.opts)
            assert parameter.help.startswith(settings[parameter.name].metadata["help"]), (path, parameter.help)
            checked += 1

    check(typer.main.get_command(build([])), "")
    assert checked > 80
