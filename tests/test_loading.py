"""Engines that are not there, or do not load: one line that says which, and what to do instead."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# The command line in a process for which some packages are not installed.
WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from dnc_edge.cli.main import main
main()
"""
# A real one, as code for a newer processor meets it.
ILLEGAL = """
import ctypes, mmap
page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("0f0b"))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""


def ask(*arguments: str, without: str = "", path: Path | None = None) -> tuple[int, str]:
    """Exit code of `dnc-edge ask`, and the one line that it writes."""
    start = ["-c", WITHOUT, without] if without else ["-m", "dnc_edge"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(path or ""), os.getenv("PYTHONPATH")])),
    }
    made = subprocess.run(
        [sys.executable, *start, "ask", *arguments, "q?"],
        capture_output=True, text=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert made.stdout == "" and made.stderr.count("\n") == 1, made.stderr
    return made.returncode, made.stderr.strip()


def spoilt(package: str, library: str, folder: Path) -> Path:
    """A copy of an installed package whose library is none; the folder to import it from."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    source = Path(spec.origin).parent
    shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("*.so*", "__pycache__", "transformers"))
    (where,) = [path.relative_to(source) for path in source.rglob(library)]
    (folder / package / where).parent.mkdir(exist_ok=True)
    (folder / package / where).write_bytes(b"no library" * 100)
    return folder


def test_without_any_engine_both_commands_are_told_the_quick_one_first() -> None:
    code, line = ask(without="llama_cpp,onnxruntime")
    assert code == 4 and "no engine is installed" in line
    assert 0 < line.index("[cpu]'") < line.index("[gguf]'")


@pytest.mark.parametrize(
    ("engine", "package", "extra"), [("llama.cpp", "llama_cpp", "gguf"), ("onnxruntime", "onnxruntime", "cpu")]
)
def test_an_engine_that_is_asked_for_and_missing_is_told_with_its_command(
    engine: str, package: str, extra: str
) -> None:
    code, line = ask("--engine", engine, without=package)
    assert code == 4 and "is not installed" in line and "pip install" in line and f"[{extra}]'" in line


def test_without_one_engine_the_other_answers() -> None:
    made = subprocess.run(
        [sys.executable, "-c", WITHOUT, "llama_cpp", "decompose", "Tom has 3 pens and buys 4. How many has he?"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert made.stdout.strip()


@pytest.mark.parametrize(
    ("package", "library", "named", "instead"),
    [
        ("llama_cpp", "libllama.so", "llama-cpp-python", "--engine onnxruntime"),
        ("onnxruntime", "onnxruntime_pybind11_state*.so", "onnxruntime", "--engine llama.cpp"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names of libraries are Linux's")
def test_a_library_that_does_not_load_is_told_with_the_other_engine(
    package: str, library: str, named: str, instead: str, tmp_path: Path
) -> None:
    engine = "llama.cpp" if package == "llama_cpp" else package
    code, line = ask("--engine", engine, path=spoilt(package, library, tmp_path))
    assert code == 4 and f"{named} does not load: " in line and "invalid ELF header" in line
    assert line.endswith(f"take the other engine: {instead}")


@pytest.mark.skipif(platform.machine() != "x86_64" or not sys.platform.startswith("linux"), reason="machine code")
def test_code_for_a_newer_processor_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text(ILLEGAL, encoding="utf-8")
    code, line = ask("--engine", "onnxruntime", path=tmp_path)
    assert code == 4 and "onnxruntime does not load: it was compiled for a newer processor" in line
    assert line.endswith("--engine llama.cpp")


def test_the_engines_are_measured_side_by_side() -> None:
    from dnc_edge.bench.engines import engines, table

    made = engines(questions=2, repeat=1, busy=True)
    assert [(row.engine, row.level) for row in made.rows] == [("llama.cpp", "q8_0"), ("onnxruntime", "int8")]
    for row in made.rows:
        assert row.first_answer_seconds > 0 and row.figures["peak_memory_bytes"] > row.bytes > 10_000_000
    assert table(made).count("\n") == 3
