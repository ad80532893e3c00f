"""`predict`: what it shows, what it refuses, and a reader's taps on a page."""

import doctest
import functools
import re

import numpy as np
import pytest
from bs4 import BeautifulSoup

from aaren._book import predict as inside
from aaren.widgets import predict

MISTAKES = {
    "the maximum starts at 0": 3,
    "the `numerator` is <not> rescaled": lambda: 1e-9,
    "everything is lost": np.array([np.nan, -np.inf]),
}
SAID = {"because": 'it is "m" & `u`.'}


@pytest.fixture
def shown(monkeypatch):
    """The bundles that `predict` displays."""
    bundles = []
    monkeypatch.setattr(inside, "_display", bundles.append)
    return bundles


def test_one_bundle_holds_the_page_and_the_text(shown):
    assert predict("What is `u` < 2?", lambda: 1.6, MISTAKES, **SAID) is None
    (bundle,) = shown
    assert set(bundle) == {"text/plain", "text/html"}
    page = BeautifulSoup(bundle["text/html"], "html.parser")
    assert page.select_one(".aaren-question").text == "Predict. What is u < 2?"
    assert page.select_one(".aaren-question code").text == "u"
    choices = {item.text: item["data-mistake"] for item in page.select("li")}
    assert choices == {
        "1.6": "",
        "3": "the maximum starts at 0",
        "1e−09": "the numerator is <not> rescaled",
        "(nan, −∞)": "everything is lost",
    }
    fold = page.select_one("details")
    assert not fold.has_attr("open") and '1.6: it is "m" & u.' in fold.text
    assert "3 comes out when the maximum starts at 0." in fold.text
    assert not re.search(r"https?://|url\(|@import| id=", bundle["text/html"])
    assert len(bundle["text/html"].encode()) < 5000


def test_the_text_is_the_same_in_every_run(shown):
    for _ in range(2):
        predict("What is u?", 1.6, MISTAKES, **SAID)
    assert shown[0] == shown[1]
    lines = shown[0]["text/plain"].split("\n")
    assert lines[0] == "What is u?" and len(lines) == 6
    assert sorted(line[5:] for line in lines[1:5]) == ["(nan, −∞)", "1.6", "1e−09", "3"]
    assert re.match(r"[a-d] is right: it is \"m\" & `u`\. [a-d] comes out when ", lines[5])


def test_the_answer_is_not_always_at_the_same_place(shown):
    for i in range(40):
        predict(f"Question {i}?", 1, {"a": 2, "b": 3, "c": 4})
    places = [bundle["text/plain"].split(" is right")[0][-1] for bundle in shown]
    assert all(places.count(letter) >= 3 for letter in "abcd")


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (8390656, ".4g", "8,390,656"),
        (-0.0, ".4g", "0"),
        (np.float32(2.0) / 3, ".2f", "0.67"),
        ([1, (2.5, -3)], ".4g", "(1, (2.5, −3))"),
        (True, ".4g", "True"),
        ("three rounds", ".4g", "three rounds"),
        (np.arange(3), ".4g", "(0, 1, 2)"),
    ],
)
def test_values_are_printed_for_readers(value, form, text):
    assert inside._printed(value, form) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((" ", 1, {"a": 2}), "`question` must be a text; got ' '"),
        (("Q?", 1, {}), "`mistakes` must map each mistake to what comes out of it; got {}"),
        (("Q?", 1, [2, 3]), "`mistakes` must map .*; got \\[2, 3\\]"),
        (("Q?", 1, {"It is.": 2}), "without a full stop; got 'It is.'"),
        (("Q?", 1, {2: 2}), "`mistakes` must have names .*; got 2"),
        (
            ("Q?", 1.0, {"a": 1.00001}),
            "differ as printed; got 1 for the answer and for the mistake 'a'",
        ),
        (("Q?", 1, {"a": 2, "b": lambda: 2}), "got 2 for the mistake 'a' and for the mistake 'b'"),
    ],
)
def test_bad_questions_are_refused(shown, arguments, message):
    with pytest.raises(ValueError, match=message):
        predict(*arguments)
    with pytest.raises(ValueError, match="`because` must be a text; got None"):
        predict("Q?", 1, {"a": 2}, because=None)
    assert shown == []


# On a page, in a browser ---------------------------------------------------------------------


@pytest.fixture
def visit(visit, shown):
    """Open a page with two questions."""
    predict("What is `u` after the third token?", 1.6, MISTAKES, **SAID)
    long = {"a reason " * 12 + "goes on": "a long choice " * 12, "x" * 80: "y" * 80}
    predict("A long question? " * 8, 2, long)
    return functools.partial(visit, *(bundle["text/html"] for bundle in shown))


def test_a_wrong_tap_is_told_its_mistake_and_a_right_one_opens_the_answer(visit):
    page = visit()
    first, second = page.locator(".aaren-predict").all()
    status, fold = first.get_by_role("status"), first.locator("details")
    assert status.text_content() == "" and not fold.is_visible()
    first.get_by_role("button", name="3", exact=True).click()
    assert status.inner_text() == "✗ No: that comes out when the maximum starts at 0. Try again."
    assert fold.is_visible() and fold.get_attribute("open") is None  # for those who give up
    first.get_by_role("button", name="1e−09").click()
    assert "the numerator is <not> rescaled" in status.inner_text()
    first.get_by_role("button", name="1.6").click()
    assert status.inner_text() == "✓ Right."
    assert fold.get_attribute("open") is not None
    assert first.get_by_text('it is "m" & u.').is_visible()
    pressed = first.locator("[aria-pressed=true]")
    assert pressed.count() == 1 and pressed.inner_text() == "1.6"
    assert second.get_by_role("status").text_content() == ""
    page.reload()  # nothing is remembered
    assert page.locator("[aria-pressed=true]").count() == 0
    assert (
        page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    )


def test_keys_alone_are_enough(visit):
    page = visit()
    first = page.locator(".aaren-predict").first
    for _ in range(4):
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        if "Right" in first.get_by_role("status").inner_text():
            break
    assert first.locator("details").get_attribute("open") is not None


def test_without_scripts_it_is_a_fold(visit):
    page = visit(java_script_enabled=False)
    first = page.locator(".aaren-predict").first
    assert first.get_by_text("1.6", exact=True).first.is_visible()
    assert first.get_by_role("button").count() == 0
    explanation = first.get_by_text('it is "m" & u.')
    assert not explanation.is_visible()
    first.get_by_text("The answer").click()
    assert explanation.is_visible()


def test_a_phone_shows_it_all_and_a_finger_can_hit_it(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box["width"] >= 44 and box["height"] >= 44
    page.get_by_role("button", name="1.6").tap()
    assert page.get_by_role("status").first.inner_text() == "✓ Right."


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_in_both_themes(visit, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(theme=theme)
    page.get_by_role("button", name="1.6").click()
    found = axe.Axe().run(page, "main").response["violations"]
    assert [rule["id"] for rule in found] == []
    colours = page.evaluate("""() => { const of = (q) => getComputedStyle(document.querySelector(q));
        return [of(".text_html").backgroundColor, of(".aaren-predict").color, of("html").color]; }""")
    assert colours[0] == "rgba(0, 0, 0, 0)" and colours[1] == colours[2]


def test_the_example_runs():
    assert doctest.testmod(inside).failed == 0
