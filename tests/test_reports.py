"""Results and what is made of them: levels, replays, comparisons, one page that needs nothing else."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dnc_edge import tasks
from dnc_edge.bench import claims
from dnc_edge.bench.compare import compare
from dnc_edge.bench.levels import with_levels
from dnc_edge.bench.margin import recommendation, recommended
from dnc_edge.bench.quant import quant
from dnc_edge.bench.replay import replay
from dnc_edge.bench.report import report
from dnc_edge.bench.results import QuantResult, read_result
from dnc_edge.engines.loading import ENGINES
from dnc_edge.errors import InputError, StudentError, UsageError
from dnc_edge.students import manifest as manifests
from dnc_edge.students.choice import with_files
from dnc_edge.students.resolve import resolve


@pytest.fixture(scope="module")
def result(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[QuantResult, Path]:
    """Two levels made from the bundled F16 file, and the int8 one, on four word problems and four questions of fact."""
    out = tmp_path_factory.mktemp("quant")
    return quant(None, questions(), out, levels=["q8_0", "q2_k", "int8"], repeat=1, slots=2, busy=True), out


def questions() -> list[tasks.Task]:
    return [claims.load("gsm8k", limit=4), claims.load("strategyqa", limit=4)]


def test_levels_are_made_measured_and_one_is_recommended(result: tuple[QuantResult, Path]) -> None:
    made, out = result
    assert [row.level for row in made.rows] == ["f16", "q8_0", "int8", "q2_k"]
    full, *_, least = made.rows
    assert full.lost.value == full.flips.changed.value == 0 and full.agreement.kl < 1e-6
    assert least.agreement.kl > 0.01 and least.bytes < full.bytes / 4
    assert least.flips.changed.value > 0.5 and 3 < least.bits_per_weight < 4 < 16 <= full.bits_per_weight < 16.1
    assert made.tasks == {"gsm8k": 4, "strategyqa": 4} == {name: loss.lost.n for name, loss in least.tasks.items()}
    for row in made.rows:
        assert len(row.scores["f1"]) == len(row.plan_seconds) == made.n == len(made.ids) == 8
        assert row.speed and row.speed.decode_tokens_per_second.median > 0 and row.speed.peak_memory_bytes > 1e7
        assert row.calibration and row.calibration.n <= 8 and row.fell_back == []
    assert made.timed_on and "no smaller level is shown" in made.recommendation
    assert re.match(r"Take \S+ on \S+ \(", made.recommendation)
    assert manifests.load(out / "student").file("q2_k", "llama.cpp").bytes == least.bytes


def test_an_interrupted_run_goes_on_and_another_is_refused(result: tuple[QuantResult, Path]) -> None:
    made, out = result
    rows = out / "rows"
    kept = {path: path.read_text("utf-8") for path in rows.glob("*/*.json")}
    assert len(kept) == 2 * len(made.rows)
    (rows / "llama.cpp-q2_k" / "speed.json").unlink()
    settings: dict[str, Any] = {"levels": ["q8_0", "q2_k", "int8"], "repeat": 1, "slots": 2, "busy": True}
    again = quant(None, questions(), out, **settings)
    for path, text in kept.items():
        if path.parent.name != "llama.cpp-q2_k" or path.name != "speed.json":
            assert path.read_text("utf-8") == text
    # What is computed is computed alike; only seconds differ.
    assert [row.scores for row in again.rows] == [row.scores for row in made.rows]
    with pytest.raises(UsageError, match="made with other settings"):
        quant(None, questions()[:1], out, **settings)


def test_plans_alone_need_no_idle_machine_and_no_clock(data: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"levels": ["q8_0"], "slots": 2, "plans_only": True}
    made = quant(None, [claims.load("everyday", limit=3)], tmp_path, **settings)
    assert [(row.speed, row.plan_seconds) for row in made.rows] == [(None, ())] * 2 and made.timed_on is None
    text = report([made], tmp_path / "report").with_suffix(".md").read_text("utf-8")
    assert "### Predictions and confidence" in text and "plans/s" not in text


def test_levels_of_an_engine_that_is_not_installed_are_left_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENGINES, "onnxruntime", "no_such_package")
    said: list[str] = []
    settings: dict[str, Any] = {"levels": ["int8"], "repeat": 1, "slots": 2, "busy": True}
    made = quant(None, [tasks.load("gsm8k", limit=2)], tmp_path, say=said.append, **settings)
    assert [row.level for row in made.rows] == ["f16"]
    assert "int8 is left out: onnxruntime is not installed" in said


def test_levels_need_an_unquantized_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no level 'q9_0'") as raised:
        with_levels(resolve(None), tmp_path / "a", ["q9_0"])
    assert "q4_k_m" in (raised.value.hint or "")
    copy = with_levels(resolve(None), tmp_path / "b", ["q8_0"])
    manifests.write(tmp_path / "b", with_files(copy, [copy.file("q8_0")]))
    with pytest.raises(StudentError, match="no unquantized GGUF file"):
        with_levels(tmp_path / "b", tmp_path / "c", None)


KEPT = Path(__file__).parent.parent / "bench" / "results"


@pytest.mark.parametrize("name", ["quant", "quant-smollm2-135m", "tradeoff-http", "paper-main"])
def test_results_that_are_kept_still_make_a_report(name: str, tmp_path: Path) -> None:
    kept = read_result(json.loads((KEPT / f"{name}.json").read_text("utf-8")))
    assert read_result(json.loads(json.dumps(kept.to_dict()))) == kept
    text = report([kept], tmp_path).with_suffix(".md").read_text("utf-8")
    if isinstance(kept, QuantResult):
        # Marked, in every table, is the level that the recommendation, as it was written then, begins with.
        assert kept.recommendation == recommendation(kept.rows, kept.reference, kept.margin)
        best = recommended(kept.rows, kept.reference, kept.margin)
        assert set(re.findall(r"^\| \*\*(.+?)\*\*", text, re.MULTILINE)) == {best.label}
    else:
        assert len(re.findall(r"^\| \*\*", text, re.MULTILINE)) == sum(bool(row.pareto) for row in kept.rows) > 0


def test_a_result_with_a_field_missing_is_named() -> None:
    values = json.loads((KEPT / "paper-main.json").read_text("utf-8"))
    del values["rows"][1]["accuracy"]
    with pytest.raises(InputError, match=r"no result of tradeoff: rows\.1\.accuracy"):
        read_result(values)


class Page(HTMLParser):
    """What a page refers to, and its tables' cells."""

    def __init__(self) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.rows += tag == "tr"
        self.refers += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]


def test_a_report_is_one_page_that_fetches_nothing(result: tuple[QuantResult, Path], tmp_path: Path) -> None:
    made, _ = result
    page = report([made], tmp_path)
    html = page.read_text("utf-8")
    seen = Page()
    seen.feed(html)
    assert all(reference.startswith("#") for reference in seen.refers)
    assert not re.search(r"url\((?!#)|@import|<link", html)
    assert seen.rows == 4 * (1 + len(made.rows)) and html.count("<svg") == html.count("<figure") == 5
    assert "currentColor" in html and "#010203" not in html
    text = (tmp_path / "report.md").read_text("utf-8")
    assert made.recommendation in text and "quality-by-size.svg" in text
    assert {path.suffix for path in tmp_path.iterdir()} == {".html", ".md", ".svg", ".png"}
    with pytest.raises(InputError, match="no result of"):
        read_result({"kind": "other"})


def test_strangers_names_are_text_in_a_report(result: tuple[QuantResult, Path], tmp_path: Path) -> None:
    made = replace(result[0], student="<script>alert(1)</script>")
    assert "<script>alert" not in report([made], tmp_path).read_text("utf-8")


def test_two_results_are_compared_question_by_question(result: tuple[QuantResult, Path], tmp_path: Path) -> None:
    made, out = result
    better = json.loads(json.dumps(made.to_dict()))
    for row in better["rows"]:
        row["scores"]["f1"] = [min(1.0, value + 0.1) for value in row["scores"]["f1"]]
    better["ids"][0] = "another"
    (tmp_path / "b.json").write_text(json.dumps(better), "utf-8")
    compared = compare(out / "quant.json", tmp_path / "b.json")
    assert compared.n == 7 and compared.left_out == 2
    assert all(row.difference.low > 0.05 for row in compared.rows)
    counts = compare(out / "quant.json", tmp_path / "b.json", metric="count_difference")
    assert all(row.difference.value == 0 for row in counts.rows)
    with pytest.raises(UsageError, match="no metric 'beauty'"):
        compare(out / "quant.json", tmp_path / "b.json", metric="beauty")
    (tmp_path / "c.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match=r"c\.json is no result"):
        compare(out / "quant.json", tmp_path / "c.json")


@pytest.mark.parametrize(("name", "published"), [("chat", 0.682), ("filtered_bc", 0.527), ("finetune", 0.508)])
def test_replays_come_to_what_was_published(name: str, published: float, data: Path) -> None:
    file = data / "gsm8k_ai_subq" / "eval_responses" / "chatgpt" / f"eval_{name}.jsonl.gz"
    made = replay(file, tasks.load("gsm8k"))
    assert made.accuracy.value == pytest.approx(published, abs=0.010)
    assert made.accuracy.n == 1319 and not (made.missing or made.foreign or made.repeated)


def recording(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


def test_solvers_that_ramble_on_are_scored_by_their_own_answer(tmp_path: Path, data: Path) -> None:
    task = tasks.load("gsm8k", limit=4)
    one, two, three, four = task.problems
    rambling = "A1: so much.\nFinal answer: {}\n\nQ: Tim has 5 pens and buys 4.\nA: 9 pens. Final answer: 9"
    rows = [
        {"problem": one.question, "answers": rambling.format(one.answer)},
        {
            "problem": two.question.replace("'", "’") + " ",
            "answers": f"#### {two.answer}\n\nQuestion 2: What is 1 + 1?\n#### 2",
        },
        {"problem": three.question, "answers": f"It is not {three.answer}. The answer is: 12345"},
        {"problem": three.question, "answers": "again"},
        {"problem": "Quite another question?", "answers": "7"},
    ]
    made = replay(recording(tmp_path / "r.jsonl.gz", rows), task)
    assert (made.accuracy.value, made.accuracy.n) == (pytest.approx(2 / 3), 3)
    assert (made.missing, made.repeated, made.foreign) == ((four.id,), (4,), (5,))
    (tmp_path / "bad.jsonl").write_text('{"problem": "x"}\n', "utf-8")
    with pytest.raises(InputError, match="line 1: no recorded reply"):
        replay(tmp_path / "bad.jsonl", task)
    with pytest.raises(InputError, match="no record asks a question"):
        replay(recording(tmp_path / "f.jsonl.gz", rows[-1:]), task)
