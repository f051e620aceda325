"""What a training says of the student it made: how it is prompted, on what it was trained, what it is for.

`train` writes these facts into `train.json` beside the weights; `convert` reads them and puts them into `student.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnc_edge.errors import InputError
from dnc_edge.files import write_json
from dnc_edge.typed_json import build, plain

FILENAME = "train.json"


@dataclass(frozen=True)
class Role:
    """How a student is prompted for one role.

    Attributes:
        template: the prompt; `{user}` in it stands for the user message.
        prompt_version: `prompts.VERSION` of the training.
        max_tokens: the most that are decoded for one prompt.
        adapter: file of the adapter that is applied for this role; None uses the weights as they are.
        kinds: of the solver, the kinds of question (see `prompts.kind_of`) that it was trained on; the role "chat", the
            base as it is, answers the others. Empty if it answers all.
    """

    template: str
    prompt_version: str
    max_tokens: int
    adapter: str | None = None
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """A user message and the token ids of its prompt in training; the tokenizer is checked with it at every load."""

    role: str
    user: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class About:
    """Where a student comes from, for people to read.

    Attributes:
        training: settings, figures and data of the training.
        licences: licence and attribution of the training data, by source.
        card: intended use, limits, biases and the like, each a text.
        measured: results on test data.
        decompose, solve: of the adapter for this role, if it joined a student that was there.
    """

    training: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    card: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    decompose: About | None = None
    solve: About | None = None


@dataclass(frozen=True, kw_only=True)
class StudentFacts:
    """What training fixes about a student.

    Attributes:
        roles: "decompose", "solve" or both; "chat" for questions of other kinds than the solver was trained on.
        stop: control pieces that end a text.
        context: longest sequence, in tokens.
        max_subquestions: cap on the sub-questions of a plan.
    """

    roles: Mapping[str, Role]
    stop: tuple[str, ...]
    context: int
    max_subquestions: int
    probes: tuple[Probe, ...]
    about: About = field(default=About(), repr=False)


def load(path: Path) -> StudentFacts:
    """Read a `train.json`.

    Raises:
        InputError: it cannot be read, or does not describe a student.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        # The file keeps what is about the student beside it.
        return build(StudentFacts, {**values["student"], "about": values})
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not describe a student ({error})", hint="dnc-edge train writes it") from error


def write(directory: Path, facts: StudentFacts) -> None:
    """Write `train.json` into a directory, whole or not at all."""
    values = plain(facts)
    about = values.pop("about")
    write_json(directory / FILENAME, {"student": values, **about})
