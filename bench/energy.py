"""Energy of the processor's packages, where the machine counts it (RAPL, by Linux' powercap)."""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Meter:
    """Counts from when it is made; `joules` is None if the machine counts nothing, or does not let us read it."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        # "intel-rapl:0" is a package (AMD's are named so, too); "intel-rapl:0:1" is a part of one.
        self._packages = [path for path in sorted(folder.glob("*-rapl:*")) if path.name.count(":") == 1]
        self._start = self._read()

    def joules(self) -> float | None:
        """Joules of all packages since the start, those of other processes included."""
        now = self._read()
        if not self._start or now is None or len(now) != len(self._start):
            return None
        # A counter starts again at 0 when its range is full.
        pairs = zip(now, self._start, strict=True)
        return sum((end - start) % (limit + 1) for (end, limit), (start, _) in pairs) / 1e6

    def _read(self) -> list[tuple[int, int]] | None:
        """(microjoules, largest count) of each package."""
        try:
            return [
                (int((path / "energy_uj").read_text()), int((path / "max_energy_range_uj").read_text()))
                for path in self._packages
            ]
        except (OSError, ValueError):
            return None
