"""A student's levels as a Markdown table."""

from __future__ import annotations

from collections.abc import Sequence

from dnc_edge.students.manifest import WeightFile
from dnc_edge.students.measured import Measured

_HEAD = (
    "| level | engine | MB | bits/weight | KL | same top token | plan F1 | plan F1 lost | plans equal | tensors |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def table(files: Sequence[WeightFile]) -> str:
    """Return the measured levels among a student's files with size, fidelity and tensor types, as Markdown."""
    lines = list(_HEAD)
    for file in files:
        if file.measured is not None:
            size = sum(other.bytes for other in files if other.level == file.level and other.level) / 1e6
            cells = " | ".join(_cells(file.measured))
            lines.append(f"| {file.level} | {file.engine} | {size:.1f} | {cells} |")
    return "\n".join(lines)


def _cells(measured: Measured) -> list[str]:
    types = ", ".join(f"{count} {kind}" for kind, count in (measured.types or {}).items())
    if measured.fell_back:
        types += f" ({len(measured.fell_back)} fell back)"
    bits = "" if measured.bits_per_weight is None else f"{measured.bits_per_weight:.2f}"
    if (compared := measured.fidelity) is None:
        return [bits, "", "", "", "", "", types]
    f1, lost = compared.plan_f1, compared.f1_lost
    return [
        bits,
        f"{compared.kl:.2g}",
        f"{compared.top_tokens:.1%}" + (" (poor)" if compared.poor else ""),
        f"{f1.value:.3f}" if f1 else "",
        f"{lost.value:+.3f} [{lost.low:+.3f}, {lost.high:+.3f}]" if lost else "",
        f"{compared.identical} of {compared.n}" + (f", {compared.ties} tied" if compared.ties else ""),
        types,
    ]
