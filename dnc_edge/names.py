"""Names that somebody typed: which known one was meant."""

from __future__ import annotations

from collections.abc import Iterable


def hint(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one if there is a near one, else all of them."""
    import difflib

    choices = list(known)
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f"did you mean {folded[near[0]]}?" if near else f"choose from: {', '.join(choices) or 'none'}"
