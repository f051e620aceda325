"""Frozen dataclasses from JSON and back, checked field by field.

pydantic does more and takes 70 ms to import, which every command would pay: manifests of students are read at each
start. `bench` and its reports use pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Built = TypeVar("Built")


def build(kind: type[Built], value: Any) -> Built:
    """Build a value of a type from what `json.loads` returned; unknown names are ignored.

    Args:
        kind: a dataclass whose fields are str, int, float, bool, Any, another such dataclass, or `tuple[X, ...]`,
            `Mapping[str, X]` and `X | None` of these.
        value: the JSON value. A whole number is a valid float; true and false are not numbers.

    Raises:
        ValueError: a field is missing or of another type; the message says which.
    """
    built: Built = _build(kind, value, "")
    return built


def plain(value: Any) -> Any:
    """Return a dataclass as dictionaries and lists that JSON can hold.

    Fields that are None or empty by default are left out while they are.
    """
    if is_dataclass(value):
        named = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: plain(inner) for field, inner in named if not (inner in (None, ()) and field.default == inner)
        }
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value


def _build(kind: Any, value: Any, where: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (inner,) = (part for part in parts if part is not NoneType)
        return None if value is None else _build(inner, value, where)
    if origin is tuple:
        items = enumerate(_checked(list, value, where))
        return tuple(_build(parts[0], item, f"{where}[{index}]") for index, item in items)
    if origin is Mapping or is_dataclass(kind):
        values: dict[str, Any] = _checked(dict, value, where)
        inside = f"{where}." if where else ""
        if origin is Mapping:
            return {name: _build(parts[1], item, inside + name) for name, item in values.items()}
        types = _field_types(kind)
        given = {name: _build(types[name], values[name], inside + name) for name in types if name in values}
        try:
            return kind(**given)
        except TypeError as error:
            missing = next(name for name in types if name not in given and f"'{name}'" in str(error))
            raise ValueError(f"{inside}{missing} is missing") from error
    return value if kind is Any else _checked(kind, value, where)


@lru_cache
def _field_types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _checked(kind: Any, value: Any, where: str) -> Any:
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where or 'the value'} is {value!r:.60}, not of type {kind.__name__}")
    return value
