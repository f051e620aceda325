"""The page, as a person uses it, in a headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import Counting, Misbehaving
from tests.serving import Served, serving

QUESTION = "Mia bakes 5 trays of 12 muffins and sells them for 2 dollars each. How much money does Mia make?"
# A folder for pictures of what the tests look at; those in docs/ are made so.
PICTURES = os.environ.get("DNC_EDGE_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test if anything but the server is asked for, or its script fails."""
    opened = browser.new_page(viewport={"width": 900, "height": 640})
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda request: "127.0.0.1" in request.url or wrong.append(request.url))
    yield opened
    opened.close()
    assert [one for one in wrong if not one.startswith("data:")] == []


@pytest.fixture
def solver() -> Iterator[Counting]:
    with Counting() as server:
        yield server


@pytest.fixture
def served(solver: Counting, tmp_path: Path) -> Iterator[Served]:
    from tests.batches import PRICED

    paid = {"run": {"prices": PRICED}, "prices": PRICED, "max_cost": 1.0, "spent": tmp_path}
    with serving(solver=f"{solver.address}#qwen2.5", **paid) as running:
        yield running


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=f"{PICTURES}/{name}.png", full_page=True)


def planned(page: Page, served: Served, question: str = QUESTION) -> list[str]:
    page.goto(served.address)
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_role("button", name="Plan").click()
    expect(page.get_by_role("button", name="Plan")).to_be_enabled()
    return subquestions(page)


def subquestions(page: Page) -> list[str]:
    return [field.input_value() for field in page.locator(".step textarea").all()]


def test_a_plan_is_edited_before_anything_is_paid_and_answered(page: Page, served: Served, solver: Counting) -> None:
    first, _ = planned(page, served)
    assert solver.requests == []
    page.get_by_label("Sub-question 2", exact=True).fill("How many dollars are that?")
    page.get_by_role("button", name="Add a sub-question").click()
    page.keyboard.type("Is that enough for a bicycle?")
    page.get_by_label("Move up sub-question 3").click()
    assert subquestions(page) == [first, "Is that enough for a bicycle?", "How many dollars are that?"]
    picture(page, "serve-plan")
    page.get_by_label("Drop sub-question 2").click()
    assert subquestions(page) == [first, "How many dollars are that?"] and solver.requests == []
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#answer")).to_have_text("72")
    assert page.locator(".step .reply").all_inner_texts() == ["24", "72"]
    asked = solver.requests[0]["messages"][-1]["content"]
    assert asked == f"{QUESTION}\n\nSub-questions:\n1. {first}\n2. How many dollars are that?"
    facts = page.locator("#facts").inner_text()
    assert "50 + 20 tokens" in facts and "$0.00007" in facts and f"answered by {solver.address}#qwen2.5" in facts
    expect(page.locator("#costs")).to_have_text("$0.00007 of $1 today")
    picture(page, "serve-answered")


def test_earlier_questions_of_the_session_come_back(page: Page, served: Served, solver: Counting) -> None:
    planned(page, served)
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#history button")).to_have_count(1)
    planned_next = page.get_by_label("Question", exact=True)
    planned_next.fill("Tom has 3 boxes of 12 eggs and uses 7. How many are left?")
    planned_next.press("Control+Enter")
    expect(page.locator("#result")).to_be_hidden()
    expect(page.get_by_role("button", name="Plan")).to_be_enabled()
    page.locator("#history button").click()
    expect(planned_next).to_have_value(QUESTION)
    expect(page.locator("#answer")).to_have_text("72")
    assert len(solver.requests) == 1


def test_everything_works_from_the_keyboard(page: Page, served: Served, solver: Counting) -> None:
    page.goto(served.address)
    page.keyboard.type(QUESTION)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Answer")).to_be_focused()
    first, second = subquestions(page)
    page.get_by_label("Sub-question 1", exact=True).focus()
    page.keyboard.press("Alt+ArrowDown")
    assert subquestions(page) == [second, first]
    page.keyboard.press("Enter")
    page.keyboard.type("And then?")
    assert subquestions(page) == [second, first, "And then?"]
    page.keyboard.press("Control+Enter")
    expect(page.locator("#facts")).to_contain_text("tokens")
    assert "3. And then?" in solver.requests[0]["messages"][-1]["content"]


def test_text_of_models_is_never_markup(page: Page, served: Served) -> None:
    hostile = "<img src=x onerror=\"document.title='taken'\"><b>5</b> pens & 3 boxes: how many?"
    planned(page, served, hostile)
    while page.locator(".step").count():
        page.get_by_label("Drop sub-question 1", exact=True).click()
    page.get_by_role("button", name="Add a sub-question").click()
    page.keyboard.type(hostile)
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#history button")).to_have_text(hostile)
    assert page.locator("main img, main b").count() == 0 and page.title() == "dnc-edge"


def test_what_goes_wrong_is_said_and_the_plan_kept(page: Page) -> None:
    with Misbehaving(401) as solver, serving(solver=f"{solver.address}#m") as running:
        plan = planned(page, running)
        page.get_by_role("button", name="Answer").click()
        expect(page.get_by_role("alert")).to_contain_text("401")
        assert subquestions(page) == plan
        page.get_by_label("Question", exact=True).fill("  ")
        page.get_by_role("button", name="Plan").click()
        expect(page.get_by_role("alert")).to_contain_text("the question is empty")


def test_stopping_ends_the_request(page: Page) -> None:
    with Misbehaving("hang") as solver, serving(solver=f"{solver.address}#m") as running:
        planned(page, running)
        page.get_by_role("button", name="Answer").click()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("alert")).to_have_text("Stopped.")
        assert running.idle()


def test_a_token_is_asked_for_once(page: Page) -> None:
    with serving(guard={"token": "a-long-enough-token"}) as running:
        page.goto(running.address)
        page.get_by_label("This server asks for its token").fill("a-long-enough-token")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#model option")).to_have_count(1)
        expect(page.locator("#keys")).to_be_hidden()
        page.reload()
        expect(page.locator("#costs")).to_contain_text("today")


def wide(page: Page) -> int:
    """How far the page is wider than its window."""
    width: Any = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return int(width)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("serve-phone", {"viewport": {"width": 360, "height": 720}}),
        ("serve-dark", {"viewport": {"width": 900, "height": 640}, "color_scheme": "dark"}),
    ],
)
def test_it_fits_a_phone_and_the_dark(name: str, options: dict[str, Any], browser: Browser, served: Served) -> None:
    page = browser.new_page(**options)
    planned(page, served)
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#answer")).to_have_text("72")
    assert wide(page) <= 0
    brightness: Callable[[str], int] = lambda color: sum(  # noqa: E731
        int(float(part)) for part in color.removeprefix("rgb(").removesuffix(")").split(",")
    )
    ground = brightness(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (ground < 200) == (options.get("color_scheme") == "dark")
    picture(page, name)
    page.close()
