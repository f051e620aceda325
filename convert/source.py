"""llama.cpp's own converter, in the version that fits the installed llama-cpp-python.

The wheel does not hold it; the source distribution of the same version does. It is fetched once through pip, which
runs nothing of it before its hash is the one kept here, and the scripts alone (2 MB of 77) are cached.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from dnc_edge.errors import ExtraMissing, MissingError

# Of the source distributions on PyPI.
SHA256 = {"0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"}
_WANTED = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion/", "gguf-py/")


def converter(checkout: Path | None = None) -> Path:
    """Return the directory that holds convert_hf_to_gguf.py, conversion/ and gguf-py/.

    Args:
        checkout: a llama.cpp checkout of the user's; None fetches what fits.

    Raises:
        MissingError: the checkout has no converter, or the source distribution cannot be had or is not
            the one known here.
        ExtraMissing: llama-cpp-python is not installed.
    """
    if checkout is not None:
        if not (checkout / "convert_hf_to_gguf.py").is_file():
            raise MissingError(f"{checkout} is not a llama.cpp checkout: it has no convert_hf_to_gguf.py")
        return checkout
    try:
        installed = version("llama-cpp-python")
    except PackageNotFoundError as error:
        raise ExtraMissing("llama-cpp-python", "gguf") from error
    import platformdirs

    cached = platformdirs.user_cache_path("dnc-edge") / f"llama.cpp-{installed}"
    if not cached.is_dir():
        _fetch(installed, cached)
    return cached


def _fetch(installed: str, target: Path) -> None:
    if installed not in SHA256:
        raise MissingError(
            f"no known source distribution fits llama-cpp-python {installed}",
            hint=f"install one of {', '.join(SHA256)}, or name a llama.cpp checkout with --llama-cpp DIR",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(f"llama-cpp-python=={installed} --hash=sha256:{SHA256[installed]}\n", encoding="ascii")
        # Even to download a source distribution pip runs its build backend, for the metadata.
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "llama-cpp-python",
            "--require-hashes", "--dest", scratch, "--requirement", str(wanted),
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if "DO NOT MATCH THE HASHES" in run.stderr:
            raise MissingError(
                f"what the package index has is not the known source distribution of llama-cpp-python {installed}",
                hint="nothing of it was run; name a llama.cpp checkout with --llama-cpp DIR",
            )
        archives = list(Path(scratch).glob("*.tar.gz"))
        if run.returncode != 0 or not archives:
            last = (run.stderr.strip().splitlines() or ["no output"])[-1]
            raise MissingError(
                f"cannot fetch the source distribution of llama-cpp-python {installed}: {last}",
                hint="name a llama.cpp checkout with --llama-cpp DIR",
            )
        extracted = Path(scratch, "extracted")
        _extract(archives[0], extracted)
        try:
            extracted.rename(target)
        except OSError:
            # Another process was first; its copy is as good.
            if not target.is_dir():
                raise


def _extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            _, _, inside = member.name.partition("/vendor/llama.cpp/")
            if member.isfile() and inside.startswith(_WANTED):
                path = target / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None
                with source, path.open("wb") as out:
                    shutil.copyfileobj(source, out)
