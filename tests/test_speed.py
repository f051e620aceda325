"""`bench speed`: which questions it asks, and that its ratios are of what they say."""

from __future__ import annotations

import pytest

from dnc_edge.bench.delivered import BARS, delivered, questions, table
from dnc_edge.bench.results import SpeedResult
from dnc_edge.students.resolve import BUNDLED


def test_the_questions_that_ship_are_distinct_and_of_every_kind() -> None:
    asked = questions("everyday", 1000)
    assert len({(question.text, question.context) for question in asked}) == len(asked) == 1000
    assert asked[:200] == questions("everyday", 200)
    assert any(question.context for question in asked[:200])


@pytest.mark.long
def test_what_is_delivered_is_measured_beside_its_peers() -> None:
    result = delivered(BUNDLED, count=16, batch=24, slots=4, repeat=1, busy=True)
    assert SpeedResult.from_dict(result.to_dict()) == result
    # The bundled student has no adapter, and llama-bench was not given.
    missing = {name for name in BARS if name not in result.ratios}
    assert missing == {name for name in BARS if "adapter" in name or "llama-bench" in name}
    assert result.tokens["plan"] >= result.tokens["create_completion"] > 0
    assert 0 < result.ratios["delivered over the engine alone"].ratio.median < 2
    assert "delivered over the engine alone" in table(result)
