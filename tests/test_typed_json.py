"""Dataclasses from JSON and back; the manifest, which holds all that `student.json` does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.students import manifest, resolve
from dnc_edge.students.choice import choose, with_files
from dnc_edge.students.manifest import WeightFile
from dnc_edge.typed_json import build, plain


@dataclass(frozen=True)
class Inner:
    name: str
    size: float = 1.0


@dataclass(frozen=True)
class Outer:
    rows: tuple[Inner, ...]
    by_name: Mapping[str, int]
    exact: bool
    best: Inner | None = None


INNER = st.builds(Inner, st.text(), st.floats(allow_nan=False))


@given(st.builds(Outer, st.lists(INNER).map(tuple), st.dictionaries(st.text(), st.integers()), st.booleans(), INNER))
def test_what_is_written_is_read_again(outer: Outer) -> None:
    assert build(Outer, json.loads(json.dumps(plain(outer)))) == outer


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "the value is [], not of type dict"),
        ({"rows": [], "by_name": {}}, "exact is missing"),
        ({"rows": [{"name": "a"}, {}], "by_name": {}, "exact": True}, "rows[1].name is missing"),
        ({"rows": [], "by_name": {"a": True}, "exact": True}, "by_name.a is True, not of type int"),
        ({"rows": [], "by_name": {}, "exact": 1}, "exact is 1, not of type bool"),
        ({"rows": [], "by_name": {}, "exact": True, "best": {"name": "a", "size": "b"}}, "best.size is 'b', not of"),
    ],
)
def test_what_is_wrong_is_named(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        build(Outer, value)


def test_a_whole_number_is_a_float_and_unknown_names_are_ignored() -> None:
    assert build(Inner, {"name": "a", "size": 2, "colour": "red"}) == Inner("a", 2)


@pytest.mark.parametrize("name", resolve.DEFAULTS)
def test_a_manifest_holds_all_that_its_file_does(name: str) -> None:
    directory = resolve.known()[name]
    values = json.loads((directory / manifest.FILENAME).read_text("utf-8"))
    values["about"].setdefault("measured", {})
    assert manifest.load(directory).to_dict() == {key: value for key, value in values.items() if value is not None}


def test_a_level_is_chosen_by_what_is_asked_installed_and_preferred() -> None:
    student = manifest.load(resolve.known()["dnc-11m"])
    assert choose(student, None, None, ["llama.cpp", "onnxruntime"]).level == student.default_level
    assert choose(student, None, None, ["onnxruntime"]).level == "int8"
    assert choose(student, "f16", None, ["onnxruntime", "llama.cpp"]).engine == "llama.cpp"
    others = [file for file in student.files if file.level != student.default_level]
    assert with_files(student, others).default_level == "int8"
    assert with_files(student, [WeightFile("a.gguf", "llama.cpp", "q2_k", "0" * 64, 1)]).default_level == "q2_k"
