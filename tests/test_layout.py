"""The house: what is public, what a wheel holds, which names may be imported, what must not be written down."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dnc_edge

ROOT = Path(__file__).parent.parent


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name]


def test_the_public_names_are_the_documented_ones_and_resolve() -> None:
    assert sorted(dnc_edge.__all__) == dnc_edge.__all__
    assert len(dnc_edge.__all__) <= 10
    for name in dnc_edge.__all__:
        assert getattr(dnc_edge, name) is not None
    with pytest.raises(AttributeError):
        _ = dnc_edge.nothing


def test_importing_the_package_loads_no_engine_and_no_sdk() -> None:
    code = (
        "import sys, dnc_edge.edge, dnc_edge.pipeline\n"
        "heavy = {'llama_cpp', 'onnxruntime', 'httpx2', 'torch', 'transformers', 'genai_prices', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_top_level_folders_are_one_module_under_one_name() -> None:
    for name in ("train", "convert", "bench"):
        link = ROOT / "dnc_edge" / name
        assert link.is_symlink() and link.readlink() == Path("..") / name
    bare = re.compile(r"^\s*(?:from|import) (?:train|convert|bench)\b", re.MULTILINE)
    offenders = [
        path.name for path in tracked("*.py") if not path.is_symlink() and bare.search(path.read_text("utf-8"))
    ]
    assert offenders == []


@pytest.mark.long
def test_a_wheel_holds_exactly_the_tree(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("dnc_edge/")}
    expected = set()
    for path in tracked("dnc_edge", "train", "convert", "bench"):
        relative = path.relative_to(ROOT)
        if path.is_symlink() or relative.parts[:2] == ("bench", "results"):
            continue
        expected.add(str(relative if relative.parts[0] == "dnc_edge" else Path("dnc_edge") / relative))
    assert held == expected


def test_tracked_weights_stay_small() -> None:
    """At most 45 MiB of the small student, and 24 MB of adapters."""
    weights = tracked("*.gguf", "*.onnx", "*.safetensors", "*.bin")
    adapters = [path for path in weights if path.parent.name == "smollm2-135m-dnc"]
    assert sum(path.stat().st_size for path in adapters) < 24e6
    assert sum(path.stat().st_size for path in weights if path not in adapters) < 45 * 2**20


def test_no_file_names_a_folder_outside_the_repository() -> None:
    absolute = re.compile(rb"(?<![\w.])/(?:work|root|home|Users)/\w")
    offenders = []
    for path in tracked():
        if not path.is_symlink() and path.is_file() and absolute.search(path.read_bytes()):
            offenders.append(str(path.relative_to(ROOT)))
    assert offenders == []


def test_a_checkout_without_symbolic_links_says_so(tmp_path: Path) -> None:
    """Git then writes files with the links' targets."""
    copy = tmp_path / "dnc_edge"
    copy.mkdir()
    for path in (ROOT / "dnc_edge").iterdir():
        if path.is_symlink():
            (copy / path.name).write_text(str(path.readlink()), encoding="utf-8")
        elif path.is_dir():
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("bundled", "__pycache__"))
        else:
            shutil.copy(path, copy)
    # An editable installation would find them where this checkout has them.
    code = (
        "import sys\n"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder).lower()]\n"
        "from dnc_edge.cli.main import main\n"
        "main()"
    )
    made = subprocess.run(
        [sys.executable, "-c", code, "train", "recipes"],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert made.returncode == 4 and made.stderr.count("\n") == 1
    assert "dnc_edge.train is not here" in made.stderr and "core.symlinks true" in made.stderr


def test_the_list_of_commands_imports_no_library() -> None:
    """Each command imports what it needs when it runs: --help and the first word of an answer wait for none of it."""
    code = (
        "import sys, typer\n"
        "from dnc_edge.cli.main import build\n"
        "typer.main.get_command(build([]))\n"
        "print(*(name for name in sys.modules if name.startswith('dnc_edge.')))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in made.stdout.split()}
    light = "cli config errors files names offline output profiles progress settings typed_json types"
    assert rooms <= set(light.split())
