"""The one shape in which every reply of a model is handed on."""

from __future__ import annotations

from dataclasses import dataclass

from dnc_edge.types import Usage


@dataclass(frozen=True)
class Reply:
    """A complete reply and what it cost (dollars are added by whoever knows the price)."""

    text: str
    finish_reason: str
    usage: Usage
