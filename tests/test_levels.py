"""Levels: what is made of a student on a base, how they are judged, and when one may be recommended."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnc_edge.bench import claims
from dnc_edge.bench.calibration import COVERAGES, calibration, expected_calibration_error
from dnc_edge.bench.energy import Meter
from dnc_edge.bench.judge import Level
from dnc_edge.bench.levels import with_levels
from dnc_edge.bench.margin import MOST_WORSE, is_shown, questions_needed, recommendation, recommended
from dnc_edge.bench.quant import clusters_of, level_row
from dnc_edge.bench.results import Flips, LevelFigures, LevelRow, PlanFigures, TaskLoss
from dnc_edge.convert.agreement import Agreement, agreement
from dnc_edge.convert.decoders import GgufDecoder
from dnc_edge.convert.fidelity import Reference
from dnc_edge.convert.merge import merge
from dnc_edge.errors import StudentError, UsageError
from dnc_edge.students import manifest
from dnc_edge.students.resolve import resolve
from dnc_edge.students.student import Student
from dnc_edge.tasks import Task, gsm8k, stats
from dnc_edge.tasks.problem import Problem
from dnc_edge.tasks.stats import Estimate
from tests import tiny_base


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of local students, with a base and a student on it."""
    folder = tmp_path / "students"
    tiny_base.write_students(folder)
    monkeypatch.setenv("DNC_EDGE_STUDENTS", str(folder))
    return folder


def test_a_merged_file_says_what_base_and_adapter_say(root: Path, tmp_path: Path) -> None:
    base, adapter = Level(root / "on-tiny", "f32", "llama.cpp").files.values()
    merge(base, adapter, tmp_path / "merged.gguf")
    prompt, plan = [1, 40, 60, 80], [50, 51, 52, 53]
    apart = GgufDecoder(base, context=512, exact=True, adapter=adapter).logits(prompt, plan)
    together = GgufDecoder(tmp_path / "merged.gguf", context=512, exact=True).logits(prompt, plan)
    alone = GgufDecoder(base, context=512, exact=True).logits(prompt, plan)
    assert np.abs(together - apart).max() < 0.05 * np.abs(alone - apart).max()


def test_an_adapter_for_another_base_is_not_merged(root: Path, tmp_path: Path) -> None:
    _, adapter = Level(root / "on-tiny", "f32", "llama.cpp").files.values()
    other = Path(resolve("dnc-11m")) / "dnc-11m-f16.gguf"
    with pytest.raises(StudentError, match="does not fit"):
        merge(other, adapter, tmp_path / "merged.gguf")
    assert not (tmp_path / "merged.gguf").exists()


def test_levels_of_a_student_on_a_base_are_of_the_two_merged(root: Path, tmp_path: Path) -> None:
    made = with_levels(root / "on-tiny", tmp_path / "out", ["q8_0"])
    assert made.base is None and made.levels == [("f16", "llama.cpp"), ("q8_0", "llama.cpp")]
    # The adapter serves one role, and so does what it is merged into.
    assert list(made.roles) == ["decompose"]
    with Student.open(str(tmp_path / "out"), level="q8_0") as student:
        assert student.manifest.roles["decompose"].adapter is None
    again = with_levels(root / "on-tiny", tmp_path / "out", ["q8_0"])
    assert again == made


def test_agreement_of_a_level_with_itself_is_complete(tmp_path: Path) -> None:
    directory = Path(resolve("dnc-11m"))
    decoder = GgufDecoder(directory / "dnc-11m-f16.gguf", context=512)
    found = manifest.load(directory)
    stop = frozenset(decoder.tokenizer.control(piece) for piece in found.stop)
    problems = [Problem(f"p{n}", f"Tom has {n} pens and buys 4 more. How many has he?", "") for n in (3, 8)]
    template = found.roles["decompose"].template
    reference = Reference(decoder, decoder.tokenizer, template, stop, problems, scratch=tmp_path)
    same = agreement(reference, decoder)
    assert same.kl < 1e-9 and same.top_tokens == 1 and same.probability_change["p1"] == pytest.approx(0, abs=1e-6)
    rough = agreement(reference, GgufDecoder(_quantized(directory, tmp_path, "q2_k"), context=512))
    assert rough.kl_percentiles["p50"] < rough.kl < rough.kl_percentiles["p99"] <= rough.kl_percentiles["max"]
    assert rough.probability_change["p1"] < 0 < rough.probability_change["p99"]
    assert rough.tokens == sum(map(len, reference.decoded))


def _quantized(directory: Path, folder: Path, level: str) -> Path:
    made = with_levels(directory, folder / "levels", [level])
    return folder / "levels" / made.file(level, "llama.cpp").file


NONE = Estimate(0.0, 0.0, 0.0, 1000)
AGREED = Agreement(1, 1, 0.0, {}, {}, 1.0)


def figures(level: str, size: int, f1: list[float]) -> LevelFigures:
    return LevelFigures(
        level=level, engine="llama.cpp", bytes=size, bits_per_weight=8, fell_back=[], scores={"f1": f1},
        plans=PlanFigures(stats.bootstrap(f1), NONE, NONE, NONE), agreement=AGREED, calibration=None,
    )  # fmt: skip


def test_a_level_is_set_against_full_precision_plan_by_plan() -> None:
    tasks = [
        Task("one", [Problem(f"a{n}", "?", "") for n in range(2)], lambda *_: {}),
        Task("two", [Problem(f"b{n}", "?", "", context="A passage.") for n in range(2)], lambda *_: {}),
    ]
    clusters = clusters_of(tasks)
    assert clusters == [0, 1, 2, 2] and clusters_of(tasks[:1]) is None
    full, small = figures("f16", 2, [0.5, 0.5, 0.5, 0.5]), figures("q4_k_m", 1, [0.5, 0.65, 0.3, 0.45])
    row = level_row(small, list("abxy"), full, list("abcd"), tasks, clusters)
    assert row.flips.changed.value == 0.5
    assert (row.flips.better.value, row.flips.worse.value) == (0.25, 0.25)
    assert row.lost.value == pytest.approx(0.025)
    assert row.worst[0] == "two" and row.worst[1].lost.value == pytest.approx(0.125)
    # Two questions over one passage are one draw: the interval is the value.
    assert row.worst[1].lost.low == pytest.approx(row.worst[1].lost.high)


def row(level: str, size: int, lost: list[float]) -> LevelRow:
    """A level that loses so much on each of as many questions."""
    worse = [loss > 0.1 for loss in lost]
    return LevelRow(
        **vars(figures(level, size, [0.5 - loss for loss in lost])),
        lost=stats.bootstrap(lost),
        lost_at_most=stats.at_most(lost),
        flips=Flips(NONE, NONE, stats.mean([float(one) for one in worse]), stats.share_at_most(worse)),
        tasks={"gsm8k": TaskLoss(NONE, stats.bootstrap(lost))},
    )


FULL = row("f16", 20, [0.0] * 1000)
GOOD = row("q8_0", 10, [0.001, -0.001] * 500)
OFTEN_WORSE = row("q4_k_m", 6, [0.2] * 50 + [-0.2] * 50 + [0.0] * 900)
LOSES = row("q2_k", 4, [0.03] * 1000)


def test_the_smallest_level_that_is_shown_to_keep_the_margin_is_recommended() -> None:
    rows = [FULL, GOOD, OFTEN_WORSE, LOSES]
    assert recommended(rows, "f16", 0.01).level == "q8_0"
    text = recommendation(rows, "f16", 0.01)
    assert text.startswith("Take q8_0 on llama.cpp (0.0 MB), the smallest level shown to lose less than 0.01 plan F1")
    # It loses nothing on average, but 5 % of its plans are worse.
    assert "q4_k_m on llama.cpp (0.0 MB), the next smaller one, loses +0.0000" in text and "5.0% of plans worse" in text
    assert recommended(rows, "f16", 0.00001).level == "f16"
    assert recommendation([FULL], "f16", 0.01).endswith("none measured is smaller.")


def test_too_few_questions_recommend_nothing_and_say_how_many_it_takes() -> None:
    few = row("q8_0", 10, [0.001, -0.001] * 20)
    assert recommended([row("f16", 20, [0.0] * 40), few], "f16", 0.01).level == "f16"
    text = recommendation([row("f16", 20, [0.0] * 40), few], "f16", 0.01)
    assert "no smaller level is shown" in text
    assert "40 questions are too few for q8_0 llama.cpp: about 140 would show it." in text


def test_a_task_that_suffers_rules_a_level_out() -> None:
    hidden = GOOD.tasks | {"strategyqa": TaskLoss(NONE, Estimate(0.05, 0.02, 0.08, 50))}
    bad = LevelRow(**{**vars(GOOD), "tasks": hidden})
    assert is_shown(GOOD, 0.01) and not is_shown(bad, 0.01)
    assert questions_needed(bad, 0.01) is None
    assert "loses +0.0500 on strategyqa" in recommendation([FULL, row("q8_0", 15, [0.0] * 1000), bad], "f16", 0.01)


@given(st.integers(20, 300), st.integers(0, 3), st.floats(0.001, 0.03))
def test_the_number_of_questions_that_it_takes_would_show_it(n: int, worse: int, spread: float) -> None:
    made = row("q8_0", 10, [0.2] * worse + [spread, -spread] * (n // 2))
    needed = questions_needed(made, 0.01)
    if needed is None:
        assert made.lost.value >= 0.01 or made.flips.worse.value >= MOST_WORSE
        return
    # Both bounds at the number that was said, for the same spread and share.
    share, times = made.flips.worse.value, needed / made.flips.worse.n
    assert _upper(share, needed) <= MOST_WORSE + 1e-6
    assert made.lost.value + (made.lost_at_most - made.lost.value) / math.sqrt(times) <= 0.01 + 1e-9


def _upper(share: float, n: int) -> float:
    z = stats.ONE_SIDED
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle + half) / (1 + z * z / n)


def test_calibration_tells_a_confidence_that_knows_from_one_that_guesses() -> None:
    good = [True] * 60 + [False] * 40
    knows = calibration([0.9] * 60 + [0.1] * 40, good)
    guesses = calibration([0.6] * 100, good)
    assert knows and guesses and knows.auroc and guesses.auroc
    assert (knows.auroc.value, guesses.auroc.value) == (1.0, 0.5)
    assert knows.expected_calibration_error == pytest.approx(0.1)
    assert guesses.expected_calibration_error == pytest.approx(0.0)
    assert len(knows.risks) == len(COVERAGES) and knows.risks[9] == 0 and knows.risks[-1] == pytest.approx(0.4)
    assert calibration([], []) is None
    alike = calibration([0.5, 0.6], [True, True])
    assert alike and alike.auroc is None


def test_calibration_error_agrees_with_its_definition() -> None:
    # Guo et al. 2017, equation 3: bins of 0.1, weighed by how many are in them.
    assert expected_calibration_error([0.95, 0.95, 0.25, 1.0], [True, False, False, True]) == pytest.approx(
        3 / 4 * abs((0.95 + 0.95 + 1.0) / 3 - 2 / 3) + 1 / 4 * 0.25
    )


def package(folder: Path, number: int, used: int) -> Path:
    path = folder / f"intel-rapl:{number}"
    path.mkdir(exist_ok=True)
    (path / "energy_uj").write_text(f"{used}\n", "ascii")
    (path / "max_energy_range_uj").write_text("262143328850\n", "ascii")
    return path


def test_energy_is_counted_over_packages_and_around_the_end_of_a_counter(tmp_path: Path) -> None:
    package(tmp_path, 0, 262143328850 - 999_999)
    package(tmp_path, 1, 5_000_000)
    (tmp_path / "intel-rapl:0:0").mkdir()
    meter = Meter(tmp_path)
    package(tmp_path, 0, 2_000_000)
    package(tmp_path, 1, 5_500_000)
    assert meter.joules() == pytest.approx(3.0 + 0.5)


def test_a_machine_that_counts_no_energy_says_so(tmp_path: Path) -> None:
    assert Meter(tmp_path / "none").joules() is None
    unreadable = package(tmp_path, 0, 1)
    (unreadable / "energy_uj").unlink()
    assert Meter(tmp_path).joules() is None


def test_a_student_claims_what_it_was_trained_on() -> None:
    assert claims.claimed(manifest.load(resolve("dnc-11m"))) == ["gsm8k", "strategyqa", "passages"]
    assert claims.claimed(manifest.load(resolve("smollm2-135m-dnc"))) == list(claims.CLAIMS)


def test_tasks_that_are_claimed_have_gold_plans(data: Path) -> None:
    loaded = {name: claims.load(name, limit=20) for name in claims.CLAIMS}
    assert all(task.has_plans and len(task.problems) == 20 for task in loaded.values())
    assert all(problem.context for problem in loaded["passages"].problems)
    assert len(claims.load("musique").problems) == 127 and len(claims.load("everyday").problems) == 158
    assert claims.load("gsm8k", limit=5).problems == gsm8k.load(5)
    with pytest.raises(UsageError, match="commonsenseqa has no gold plans"):
        claims.load("commonsenseqa")
