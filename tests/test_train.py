"""Recipes and what they set."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnc_edge.errors import InputError
from dnc_edge.train.recipes import base_config


def test_a_recipe_is_checked_against_what_it_sets(tmp_path: Path) -> None:
    assert base_config().layers == 12
    for text, complaint in (
        ("[base]\nlayer = 2", "no setting base.layer"),
        ("[base]\nlayers = 'two'", "is not int"),
        ("[other]", "no .base. table"),
        ("[base", "cannot read the recipe"),
    ):
        (tmp_path / "r.toml").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=complaint):
            base_config(tmp_path / "r.toml")
