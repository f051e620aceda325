"""Whether llama.cpp can load a GGUF file, tried in a process of its own: a vocabulary that is wrong may abort it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from dnc_edge.errors import StudentError

_TEXT = "A text, 12 numbers and a line\nto read."


def check_loads(file: Path) -> None:
    """Load a file and encode a text with it, elsewhere.

    Raises:
        StudentError: llama.cpp refuses the file, or dies on it.
    """
    # A debugger would write its trace to the terminal.
    quiet = os.environ | {"GGML_NO_BACKTRACE": "1"}
    line = [sys.executable, "-m", __name__, str(file)]
    run = subprocess.run(line, env=quiet, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode == 0:
        return
    last = (run.stderr.strip().splitlines() or ["it said nothing"])[-1]
    how = f"died of {signal.Signals(-run.returncode).name} on it" if run.returncode < 0 else "cannot load it"
    raise StudentError(
        f"{file.name} was written, but llama.cpp {how}: {last}"[:400],
        hint="nothing was kept; the tokenizer is of a kind that llama.cpp does not know, or was written as another",
    )


def _main(file: str) -> None:
    from dnc_edge.engines.llama_cpp import GgufModel
    from dnc_edge.students.tokenizer import GgufTokenizer

    GgufTokenizer(GgufModel(Path(file))).encode(_TEXT)


if __name__ == "__main__":
    _main(sys.argv[1])
