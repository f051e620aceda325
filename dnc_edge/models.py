"""Models as they are named in settings: `openai:MODEL`, `student:NAME`, `recorded:FILE`, each parsed in one place.

A new kind of model is one entry in `KINDS`, or an entry point of the group `dnc_edge.models` in another package: the
name is the kind, the value a `Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dnc_edge.errors import UsageError
from dnc_edge.remote.address import Address, masked
from dnc_edge.remote.providers import PROVIDERS

if TYPE_CHECKING:
    from dnc_edge.config import Settings
    from dnc_edge.decomposers import Decomposer
    from dnc_edge.engines.protocol import Sampling
    from dnc_edge.remote.pricing import Prices
    from dnc_edge.remote.protocol import Chat
    from dnc_edge.solvers import Solver
    from dnc_edge.students.student import Student

ENTRY_POINTS = "dnc_edge.models"


@dataclass(frozen=True)
class ModelSpec:
    """A model, as somebody named it.

    Attributes:
        kind: its entry in the registry: what stands before the colon, and "http" for an address.
        name: of the model, the student or the file; "" is the kind's default.
        address: of a server, with user and password if it has them; None for the other kinds.
    """

    kind: str
    name: str = ""
    address: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read a specification.

        Raises:
            UsageError: an address names no model, or is none; the message shows no password.
        """
        kind, _, name = text.strip().partition(":")
        if kind not in ("http", "https"):
            return cls(kind, name)
        address, separator, model = text.strip().rpartition("#")
        if not separator or not model:
            raise UsageError(f"{masked(text)!r} names no model", hint="write http://host:port/v1#MODEL")
        Address.parse(address)
        return cls("http", model, address)

    def __str__(self) -> str:
        """The specification as it may be shown and kept: without user and password."""
        if self.address is not None:
            return f"{Address.parse(self.address).url}#{self.name}"
        return f"{self.kind}:{self.name}" if self.name else self.kind


def shown(text: str) -> str:
    """Return a specification as it may be printed and kept: without user and password.

    Raises:
        UsageError: an address names no model, or is none.
    """
    spec = ModelSpec.parse(text)
    return text if spec.address is None else str(spec)


class Parts(Protocol):
    """What a kind may use to make its models: `Edge` offers it."""

    settings: Settings
    prices: Prices
    solver_options: dict[str, Any]

    @property
    def sampling(self) -> Sampling: ...

    def student(self, name: str | None = None, role: str | None = None) -> Student: ...

    def local_chat(self, path: str) -> Chat: ...

    def endpoint(self, model: str, base_url: str | None = None, options: Mapping[str, Any] | None = None) -> Chat: ...


@dataclass(frozen=True)
class Kind:
    """One kind of model.

    Attributes:
        form: how it is written, for hints.
        decomposer, solver: make one; None if the kind has no such role. Both raise UsageError if the name is no
            good for the role.
    """

    form: str
    decomposer: Callable[[Parts, ModelSpec], Decomposer] | None = None
    solver: Callable[[Parts, ModelSpec], Solver] | None = None


def decomposer(text: str, parts: Parts) -> Decomposer:
    """Make the decomposer that a specification names.

    Raises:
        UsageError: no kind of decomposer is called so.
    """
    text, parts = _profiled(text, parts)
    spec = ModelSpec.parse(text)
    kind = _kind(spec)
    if kind is None or kind.decomposer is None:
        raise _unknown("decomposer", spec)
    return kind.decomposer(parts, spec)


def solver(text: str, parts: Parts) -> Solver:
    """Make the solver that a specification names. Raises as `decomposer` does."""
    text, parts = _profiled(text, parts)
    spec = ModelSpec.parse(text)
    kind = _kind(spec)
    if kind is None or kind.solver is None:
        raise _unknown("solver", spec)
    return kind.solver(parts, spec)


def _kind(spec: ModelSpec) -> Kind | None:
    if spec.kind in KINDS:
        return KINDS[spec.kind]
    from importlib.metadata import entry_points

    for point in entry_points(group=ENTRY_POINTS, name=spec.kind):
        kind = point.load()
        if isinstance(kind, Kind):
            return kind
    return None


def _profiled(text: str, parts: Parts) -> tuple[str, Parts]:
    """The specification that a name of the settings file stands for, with its price and options."""
    if ":" in text or text in KINDS:
        return text, parts
    from dnc_edge.profiles import profiles

    profile = profiles().get(text)
    return (profile.spec, profile.over(parts)) if profile else (text, parts)


# Whose a model is that is named without a provider.
_FAMILIES = {
    "gpt-": "openai", "chatgpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "claude-": "anthropic",
    "gemini-": "gemini", "grok-": "xai", "deepseek-": "deepseek", "mistral-": "mistral",
}  # fmt: skip


def _unknown(role: str, spec: ModelSpec) -> UsageError:
    """An error with the spelling that was meant, if that can be told."""
    from dnc_edge import names
    from dnc_edge.profiles import profiles

    text = masked(str(spec))
    if text.endswith(".gguf"):
        hint = f"did you mean local:{text}?"
    elif spec.name and (provider := _near(spec.kind)):
        hint = f"did you mean {provider}:{spec.name}?"
    elif family := next((family for start, family in _FAMILIES.items() if text.startswith(start)), None):
        hint = f"did you mean {family}:{text}?"
    elif ":" in text or not profiles():
        forms = [kind.form for name, kind in KINDS.items() if getattr(kind, role) and name not in PROVIDERS]
        hint = f"choose from: {', '.join(forms)}, or PROVIDER:MODEL with {', '.join(PROVIDERS)}"
    else:
        hint = names.hint(text, [*profiles(), *KINDS])
    return UsageError(f"unknown {role} {text!r}", hint=hint)


def _near(kind: str) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(kind.lower(), KINDS, n=1)), None)


def _named(spec: ModelSpec, form: str) -> str:
    if not spec.name:
        raise UsageError(f"{str(spec)!r} names nothing", hint=f"write {form}")
    return spec.name


def _student_decomposer(parts: Parts, spec: ModelSpec) -> Decomposer:
    from dnc_edge.decomposers import StudentDecomposer

    settings = parts.settings
    student = parts.student(spec.name or settings.student, "decompose")
    return StudentDecomposer(
        student,
        cap=settings.max_subquestions,
        sampling=parts.sampling,
        prices=parts.prices,
        gated=settings.plan == "auto",
    )


def _student_solver(parts: Parts, spec: ModelSpec) -> Solver:
    from dnc_edge.solvers import LocalSolver

    return LocalSolver(parts.student(spec.name or parts.settings.student), sampling=parts.sampling, prices=parts.prices)


def _chat_decomposer(chat: Chat, parts: Parts) -> Decomposer:
    from dnc_edge.decomposers import ChatDecomposer

    settings = parts.settings
    return ChatDecomposer(chat, cap=settings.max_subquestions or 10, shots=settings.shots, prices=parts.prices)


def _chat_solver(chat: Chat, parts: Parts) -> Solver:
    from dnc_edge.solvers import ChatSolver

    return ChatSolver(chat, parts.prices, shots=parts.settings.shots)


def remote(form: str, base_url: str | None = None) -> Kind:
    """A kind whose models are behind an OpenAI-compatible address.

    Args:
        form: how it is written.
        base_url: where they are; None takes the address of the specification, or OpenAI's.
    """

    def chat(parts: Parts, spec: ModelSpec, options: Mapping[str, Any]) -> Chat:
        return parts.endpoint(_named(spec, form), spec.address or base_url, options)

    def with_fallback(parts: Parts, spec: ModelSpec) -> Solver:
        from dnc_edge.solvers import FallbackSolver

        made = _chat_solver(chat(parts, spec, parts.solver_options), parts)
        if parts.settings.fallback:
            return FallbackSolver(made, lambda: _student_solver(parts, ModelSpec("student")))
        return made

    return Kind(form, lambda parts, spec: _chat_decomposer(chat(parts, spec, {}), parts), with_fallback)


def _local_decomposer(parts: Parts, spec: ModelSpec) -> Decomposer:
    if spec.name.endswith(".gguf"):
        return _chat_decomposer(parts.local_chat(spec.name), parts)
    return _student_decomposer(parts, spec)


def _local_solver(parts: Parts, spec: ModelSpec) -> Solver:
    if spec.name.endswith(".gguf"):
        return _chat_solver(parts.local_chat(spec.name), parts)
    return _student_solver(parts, spec)


def _recorded(parts: Parts, spec: ModelSpec) -> Decomposer:
    from dnc_edge.decomposers import recorded

    return recorded(Path(_named(spec, "recorded:FILE")))


def _gold(parts: Parts, spec: ModelSpec) -> Decomposer:
    from dnc_edge.decomposers import gold
    from dnc_edge.tasks import gsm8k

    return gold({problem.question: problem.plan or () for problem in gsm8k.load()})


def _trivial(parts: Parts, spec: ModelSpec) -> Decomposer:
    from dnc_edge.decomposers import trivial

    return trivial()


KINDS: dict[str, Kind] = {
    "student": Kind("student:NAME", _student_decomposer, _student_solver),
    "openai": remote("openai:MODEL"),
    **{name: remote(f"{name}:MODEL", one.url) for name, one in PROVIDERS.items() if name != "openai"},
    "http": remote("http://host:port/v1#MODEL"),
    "local": Kind("local:STUDENT or local:FILE.gguf", _local_decomposer, _local_solver),
    "recorded": Kind("recorded:FILE", decomposer=_recorded),
    "gold": Kind("gold", decomposer=_gold),
    "trivial": Kind("trivial", decomposer=_trivial),
}
