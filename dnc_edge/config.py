"""Settings and their one order of precedence: flag, environment, file, default.

The file is `config.toml` in the user's configuration folder (or DNC_EDGE_CONFIG); the variable of a
setting is DNC_EDGE_ and its name in capitals.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnc_edge import files, names
from dnc_edge.errors import InputError, UsageError
from dnc_edge.settings import checked, known, option, setting, variable


def _strategies() -> Collection[str]:
    from dnc_edge.strategies import STRATEGIES

    return STRATEGIES


@dataclass(frozen=True)
class Settings:
    """What commands share. The file, the environment, `Edge(...)` and the options are all read from these fields."""

    student: str | None = setting(None, "local student: a name, or a path with a slash", short="-s")
    level: str | None = setting(None, "quantization level of the student")
    decomposer: str | None = setting(
        None,
        "student:NAME, openai:MODEL, http://host:port/v1#MODEL, local:FILE.gguf, recorded:FILE, gold, trivial or none",
        short="-d",
    )
    solver: str = setting(
        "local", "openai:MODEL, http://host:port/v1#MODEL, local, local:STUDENT or local:FILE.gguf", short="-S"
    )
    plan: str = setting(
        "auto",
        "auto withholds plans that the student does not trust; always, or never",
        choices=("auto", "always", "never"),
    )
    strategy: str = setting(
        "static",
        "how decomposer and solver work together: single, static, dynamic, graph or auto",
        choices=_strategies,
    )
    mode: str = setting("cot", "without sub-questions: cot (step by step) or direct", choices=("cot", "direct"))
    shots: int = setting(0, "worked examples shown to an endpoint, 0 to 2", within=(0, 2))
    max_subquestions: int | None = setting(None, "cap on sub-questions", short="-n", within=(1, 50))
    temperature: float = setting(0.0, "0 is greedy", short="-t", within=(0, 10))
    top_p: float = setting(1.0, "share of probability kept when sampling", within=(1e-6, 1))
    seed: int = setting(0, "seed of local sampling", within=(0, 2**32 - 1))
    max_tokens: int = setting(1024, "most output tokens of a remote reply", within=(1, 1_000_000))
    timeout: float = setting(300.0, "seconds a remote reply may take", within=(0.001, 86_400))
    patience: float = setting(60.0, "longest wait in seconds that a server may ask for", within=(0, 86_400 * 7))
    instruction: str = setting(
        "system",
        "system, or user: before the question, for models without a system role",
        choices=("system", "user"),
    )
    engine: str | None = setting(None, "llama.cpp or onnxruntime", choices=("llama.cpp", "onnxruntime"))
    threads: int | None = setting(None, "compute threads of the local engine", within=(1, 1024))
    strong: str | None = setting(None, "a second solver, for questions that the first is not enough for; see --route")
    route: str | None = setting(
        None, "auto, or the chance (0 to 1) that --solver is enough below which --strong is asked [default: auto]"
    )
    fallback: str | None = setting(None, "local: answer locally when the solver fails", choices=("local",))
    logging: str = setting(
        "figures", "what the log keeps of a question: off, figures, or texts too", choices=("off", "figures", "texts")
    )


def config_path() -> Path:
    """Where the settings file is looked for."""
    if path := os.environ.get("DNC_EDGE_CONFIG"):
        return Path(path)
    import platformdirs

    return platformdirs.user_config_path("dnc-edge") / "config.toml"


def route_path() -> Path:
    """Where `bench route` keeps its calibration: beside the settings file."""
    return config_path().with_name("route.json")


def load(flags: Mapping[str, Any] | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Merge all sources; a flag that is None was not given.

    Raises:
        UsageError: an unknown setting, or a value of the wrong kind; its source is named.
    """
    environment = os.environ if environment is None else environment
    merged = {name: value for name, (value, _) in given(environment).items()}
    return Settings(**merged | _given(flags or {}))


def read() -> dict[str, Any]:
    """What the settings file holds; nothing if there is none.

    Raises:
        UsageError: it is not TOML.
    """
    path = config_path()
    if not path.is_file():
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML ({error})") from error


def given(environment: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """(value, source) of every setting that the file or the environment gives; tables of solvers are `profiles`'.

    Raises:
        UsageError: as `load`.
    """
    path, found = str(config_path()), {}
    for name, value in read().items():
        if name != "solvers":
            found[name] = checked(Settings, name, value, path), path
    for name in known(Settings):
        if text := environment.get(variable(name)):
            found[name] = checked(Settings, name, text, variable(name)), variable(name)
    return found


def set_value(name: str, text: str) -> Any:
    """Write a setting into the file, whose comments stay; returns its value.

    Raises:
        UsageError: there is no such setting, or the value is none for it. InputError: the file cannot be written.
    """
    value = checked(Settings, name, text, "config set")
    document = _document()
    document[name] = value
    _write(document)
    return value


def unset_value(name: str) -> None:
    """Delete a setting from the file. Raises UsageError if it is not there."""
    document = _document()
    if name not in document:
        raise UsageError(f"{config_path()} does not set {name}", hint=names.hint(name, document))
    del document[name]
    _write(document)


def _document() -> Any:
    import tomlkit

    read()  # says what is wrong with it
    path = config_path()
    return tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()


def _write(document: Any) -> None:
    path = config_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.writing(path) as file:
            file.write(document.as_string().encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def changed(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    """Settings with single ones changed; a flag that is None was not given.

    Raises:
        UsageError: an unknown setting, or a value of the wrong kind, in `settings` too.
    """
    values = {
        name: checked(Settings, name, value, f"Settings.{name}")
        for name, value in vars(settings).items()
        if value is not None
    }
    return Settings(**values | _given(flags))


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {name: checked(Settings, name, value, option(name)) for name, value in flags.items() if value is not None}
