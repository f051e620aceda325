"""Settings and their one order of precedence: flag, environment, file, default.

The file is `config.toml` in the user's configuration folder (or DNC_EDGE_CONFIG); the variable of a
setting is DNC_EDGE_ and its name in capitals.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dnc_edge.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What commands share. Each field is its own default; `help` is what the command line says of it."""

    student: str | None = field(default=None, metadata={"help": "local student: a name, or a path with a slash"})
    level: str | None = field(default=None, metadata={"help": "quantization level of the student"})
    decomposer: str | None = field(
        default=None,
        metadata={
            "help": "student:NAME, openai:MODEL, http://host:port/v1#MODEL, local:FILE.gguf, recorded:FILE, gold, "
            "trivial or none"
        },
    )
    solver: str = field(
        default="local",
        metadata={"help": "openai:MODEL, http://host:port/v1#MODEL, local, local:STUDENT or local:FILE.gguf"},
    )
    plan: str = field(
        default="auto", metadata={"help": "auto withholds plans that the student does not trust; always, or never"}
    )
    strategy: str = field(default="static", metadata={"help": "single, static or dynamic"})
    mode: str = field(default="cot", metadata={"help": "without sub-questions: cot (step by step) or direct"})
    shots: int = field(default=0, metadata={"help": "worked examples shown to an endpoint, 0 to 2"})
    max_subquestions: int | None = field(default=None, metadata={"help": "cap on sub-questions"})
    temperature: float = field(default=0.0, metadata={"help": "0 is greedy"})
    top_p: float = field(default=1.0, metadata={"help": "share of probability kept when sampling"})
    seed: int = field(default=0, metadata={"help": "seed of local sampling"})
    max_tokens: int = field(default=1024, metadata={"help": "most output tokens of a remote reply"})
    timeout: float = field(default=300.0, metadata={"help": "seconds a remote reply may take"})
    patience: float = field(default=60.0, metadata={"help": "longest wait in seconds that a server may ask for"})
    instruction: str = field(
        default="system", metadata={"help": "system, or user: before the question, for models without a system role"}
    )
    engine: str | None = field(default=None, metadata={"help": "llama.cpp or onnxruntime"})
    threads: int | None = field(default=None, metadata={"help": "compute threads of the local engine"})
    fallback: str | None = field(default=None, metadata={"help": "local: answer locally when the solver fails"})


def config_path() -> Path:
    """Where the settings file is looked for."""
    if path := os.environ.get("DNC_EDGE_CONFIG"):
        return Path(path)
    import platformdirs

    return platformdirs.user_config_path("dnc-edge") / "config.toml"


def load(flags: Mapping[str, Any] | None = None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Merge all sources; a flag that is None was not given.

    Raises:
        UsageError: an unknown setting, or a value of the wrong kind; its source is named.
    """
    environment = os.environ if environment is None else environment
    merged: dict[str, Any] = {}
    path = config_path()
    if path.is_file():
        import tomllib

        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: not TOML ({error})") from error
        for name, value in values.items():
            merged[name] = _checked(name, value, str(path))
    for setting in fields(Settings):
        variable = f"DNC_EDGE_{setting.name.upper()}"
        if environment.get(variable):
            merged[setting.name] = _checked(setting.name, environment[variable], variable)
    return Settings(**merged | _given(flags or {}))


def changed(settings: Settings, flags: Mapping[str, Any]) -> Settings:
    """Settings with single ones changed; a flag that is None was not given.

    Raises:
        UsageError: an unknown setting, or a value of the wrong kind, in `settings` too.
    """
    values = {
        name: _checked(name, value, f"Settings.{name}") for name, value in vars(settings).items() if value is not None
    }
    return Settings(**values | _given(flags))


def _given(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _checked(name, value, f"--{name.replace('_', '-')}") for name, value in flags.items() if value is not None
    }


_CHOICES = {
    "plan": ("auto", "always", "never"),
    "strategy": ("single", "static", "dynamic"),
    "mode": ("cot", "direct"),
    "fallback": ("local",),
    "engine": ("llama.cpp", "onnxruntime"),
    "instruction": ("system", "user"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 10), "top_p": (1e-6, 1), "max_subquestions": (1, 50), "threads": (1, 1024),
    "max_tokens": (1, 1_000_000), "shots": (0, 2), "seed": (0, 2**32 - 1), "timeout": (0.001, 86_400),
    "patience": (0, 86_400 * 7),
}  # fmt: skip


def _checked(name: str, value: Any, source: str) -> Any:
    kinds = {setting.name: str(setting.type) for setting in fields(Settings)}
    if name not in kinds:
        raise UsageError(f"{source}: there is no setting {name}", hint=f"settings: {', '.join(kinds)}")
    kind = kinds[name].removesuffix(" | None")
    try:
        if isinstance(value, bool) or (kind == "str" and not isinstance(value, str)):
            raise ValueError
        if kind == "int" and isinstance(value, float) and not value.is_integer():
            raise ValueError
        value = {"str": str, "int": int, "float": float}[kind](value)
    except (ValueError, TypeError, OverflowError):
        wanted = {"str": "text", "int": "a whole number", "float": "a number"}[kind]
        raise UsageError(f"{source}: {value!r} is not {wanted}") from None
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"{source}: unknown {name} {value!r}", hint=f"choose from: {', '.join(_CHOICES[name])}")
    if name in _RANGES and not _RANGES[name][0] <= value <= _RANGES[name][1]:
        low, high = _RANGES[name]
        raise UsageError(f"{source}: {value} is out of range", hint=f"{name} is from {low:g} to {high:g}")
    return value
