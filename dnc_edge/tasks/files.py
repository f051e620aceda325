"""Find and read the data sets, by name, in the folder of data sets (see `dnc_edge.data`), or on the hub.

`DNC_EDGE_DATA=hub` fetches from the Hugging Face hub those that are there in the same form. Nothing is fetched unasked.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dnc_edge import data, files
from dnc_edge.errors import DataMissing, ExtraMissing

# Break's longest decompositions and SQL fields exceed csv's 128 KB default.
csv.field_size_limit(10_000_000)

# Where the hub keeps the same rows: repository and file.
HUB = {
    "gsm8k/test.jsonl": ("openai/gsm8k", "main/test-00000-of-00001.parquet"),
    "gsm8k/test_socratic.jsonl": ("openai/gsm8k", "socratic/test-00000-of-00001.parquet"),
    "gsm8k/train.jsonl": ("openai/gsm8k", "main/train-00000-of-00001.parquet"),
    "gsm8k/train_socratic.jsonl": ("openai/gsm8k", "socratic/train-00000-of-00001.parquet"),
    "math_word_problems/gsmhardv2.jsonl": ("reasoning-machines/gsm-hard", "gsmhardv2.jsonl"),
}


def data_path(name: str) -> Path:
    """Path of the data file `name` ("gsm8k/test.jsonl"), gzip-compressed or not.

    Raises:
        DataMissing: it is not in the folder of data sets.
    """
    if os.environ.get(data.VARIABLE) == "hub":
        return _from_hub(name)
    root = data.root()
    for candidate in (Path(root, name), Path(root, name + ".gz")):
        if candidate.is_file():
            return candidate
    known = data.holding(name)
    raise DataMissing(
        f"the data file {name} is not in {root}",
        hint=f"dnc-edge data pull {known.name}" if known else "docs/data.md says where it comes from",
    )


def _from_hub(name: str) -> Path:
    if name not in HUB:
        raise DataMissing(
            f"data file {name} is not fetched from the hub", hint=f"these are: {', '.join(HUB)}; see docs/data.md"
        )
    repository, file = HUB[name]
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise ExtraMissing("huggingface_hub", "hub") from error
    from dnc_edge.students.hub import hub_errors

    with hub_errors(repository):
        return Path(hf_hub_download(repository, file, repo_type="dataset"))


def read_text(name: str) -> str:
    with files.opened(data_path(name)) as file:
        # Two Bamboogle questions hold broken UTF-8 from upstream.
        return file.read().decode("utf-8", errors="replace")


def read_json(name: str) -> Any:
    return json.loads(read_text(name))


def read_jsonl(name: str) -> Iterator[dict[str, Any]]:
    if (path := data_path(name)).suffix == ".parquet":
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise ExtraMissing("pyarrow", "parquet") from error
        yield from pyarrow.parquet.read_table(path).to_pylist()
        return
    for _, row in files.objects(path):
        yield row


def read_csv(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(io.StringIO(read_text(name)))
