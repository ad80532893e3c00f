"""The components that compute in the page: their numbers, their controls, their picture.

A page is a small HTML file made of the outputs, opened with the network cut; no book is built.
"""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from html import escape
from pathlib import Path
from urllib.parse import unquote
from xml.dom import minidom

import numpy as np
import pytest

from aaren._book import live
from aaren.stream import Stream, decode, encode
from aaren.widgets import live as show

ENGINE = Path(live.ENGINE).read_text(encoding="utf-8")
CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
CELLS = ("package", "zero", "naive", "bare")


def attention(rng, features, heads, dim, **more):
    """A layer of a stream's file, with forgetting and dropout."""
    doc = {
        "kind": "aaren",
        "name": f"layer_{features}",
        "concat_heads": False,
        "activation": "silu",
    }
    doc |= {
        "dropout": 0.1,
        "recurrent_dropout": 0.01,
        "bias": encode(rng.normal(size=(heads, dim))),
    }
    doc["scores"] = encode(rng.normal(size=(features, heads)))
    doc["values"] = encode(rng.normal(size=(features, heads, dim)))
    return doc | {"forget": {"bias": encode(rng.normal(size=heads))}} | more


def document(*layers):
    return {"format": "aaren.stream", "version": 1, "features": 2, "layers": list(layers)}


def stack(seed=0):
    rng = np.random.default_rng(seed)
    last = attention(rng, 5, 3, 2, activation="linear")
    return document(attention(rng, 2, 4, 5), last)


def reader(answers=2, gate=False, **more):
    """A causal stem, four heads, a read-out: for tokens of two samples and a clock."""
    rng = np.random.default_rng(1)
    forget = {"bias": encode(rng.normal(2, 1, size=4))}
    if gate:
        forget["kernel"] = encode(rng.normal(size=(6, 4)))
    kernels = encode(rng.normal(size=(9, 6))), encode(rng.normal(size=(12, answers)) / 2)
    heads = attention(rng, 6, 4, 3, concat_heads=True, activation="linear", forget=forget, **more)
    layers = [
        {"kind": "delay", "taps": 3, "dilation": 1, "features": 3},
        {"kind": "dense", "kernel": kernels[0], "activation": "leaky_relu"},
        heads,
        {"kind": "dense", "kernel": kernels[1], "activation": ["sigmoid", "softmax"][answers - 1]},
    ]
    for i, layer in enumerate(layers):
        layer["name"] = f"layer_{i}"
    return {"format": "aaren.stream", "version": 1, "features": 3, "layers": layers}


BEATS = (np.random.default_rng(2).normal(size=(4, 32)).cumsum(axis=1) / 3).round(2)
HEART = {
    "model": reader(),
    "beats": BEATS,
    "labels": ["no", "yes", "yes", "no"],
    "patch": 2,
    "threshold": 0.75,
}
EVERY = {
    "heartbeat": HEART,
    "wave": {"model": [stack(), stack(1), stack(2)], "runs": 6},
    "cell": {},
    "scan": {},
    "fade": {"values": np.sin(np.arange(60))},
    "mask": {},
    "curves": {},
    "state": {},
    "cost": {},
    "puzzle": {"name": "merge"},
}  # each component as a chapter shows it first


def value(node):
    return float(node.get_attribute("data-value"))


def engine(page, call):
    """What the engine itself computes; `call` may use its exports as E."""
    source = base64.b64encode(ENGINE.encode()).decode()
    code = f"async () => {{ const E = await import('data:text/javascript;base64,{source}'); return {call}; }}"
    return page.evaluate(code)


# -- all components -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_an_output_is_small_and_asks_for_nothing(name):
    html = live.page(name, EVERY[name])
    picture = re.search(r'<img src="(data:image/svg\+xml,[^"]*)" alt="([^"]+)">', html)
    given = live.COMPONENTS[name].options(**EVERY[name])
    given = sum(
        len(live._json(given.get(part, ""))) for part in ("model", "beats", "around", "usual")
    )
    assert len(html) - len(picture[1]) - given < 30_000
    assert len(picture[1]) < 8_000
    assert not re.search(r"https?://(?!www\.w3\.org)|url\(|@import|import\(| id=", unquote(html))
    minidom.parseString(unquote(picture[1].split(",", 1)[1]))
    assert len(picture[2]) > 60  # the alternative text tells the numbers


def test_every_component_is_tested_here():
    assert set(EVERY) == set(live.COMPONENTS)


@pytest.mark.parametrize("name", EVERY)
def test_without_scripts_there_is_a_picture_and_how_to_wake_it(visit, name):
    page = visit(live.page(name, EVERY[name]), java_script_enabled=False)
    picture = page.get_by_role("img")
    assert picture.bounding_box()["height"] > 100
    assert page.evaluate("document.images[0].naturalWidth") > 200
    assert page.get_by_text("trust this notebook").is_visible()
    assert page.locator("button, input, select, [role=slider]").count() == 0


@pytest.mark.parametrize("name", EVERY)
def test_scripts_that_run_again_change_nothing(visit, name):
    page = visit(*[live.page(name, EVERY[name])] * 2)
    assert page.get_by_text("trust this notebook").count() == 0
    assert page.locator("img").count() == 0
    count = page.locator(".aaren-live *").count()
    page.evaluate(  # JupyterLab and VS Code put every script in anew
        """() => document.querySelectorAll("script").forEach((old) => {
          const script = document.createElement("script");
          for (const { name, value } of old.attributes) script.setAttribute(name, value);
          script.textContent = old.textContent;
          old.replaceWith(script);
        })"""
    )
    assert page.locator(".aaren-live *").count() == count


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit, name, theme):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(live.page(name, EVERY[name]), theme=theme)
    dark = page.evaluate("document.querySelector('.aaren-live').classList.contains('aaren-dark')")
    assert dark == (theme == "dark")
    # axe calls this rule experimental
    named = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
    found = Axe().run(page, "main", {"preload": False, **named}).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("critical", "serious")]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in grave] == []


@pytest.mark.parametrize("name", EVERY)
def test_the_page_s_theme_is_followed_when_it_changes(visit, name):
    page = visit(live.page(name, EVERY[name]))
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_selector(".aaren-live.aaren-dark")


@pytest.mark.parametrize("name", EVERY)
def test_a_phone_shows_it_all(visit, name):
    small = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit(live.page(name, EVERY[name]), **small)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in page.locator("button, select, input").all():
        if control.is_visible():
            box = control.bounding_box()
            assert min(box["width"], box["height"]) >= 36
            assert control.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_a_screen_reader_hears_a_component_once_it_is_used(visit):
    page = visit(live.page("cell", {"lines": False}))
    page.wait_for_timeout(800)
    heard = page.get_by_role("status")
    assert heard.text_content() == "" and page.locator(".aaren-words").inner_text()
    page.get_by_role("slider", name="tokens read").press("Home")
    heard.get_by_text("Token 1 is all there is").wait_for(state="attached")


STORED = [
    pytest.param(html, id=f"{file.stem[:2]}-{name}-{i}")
    for file in sorted(CHAPTERS.glob("*.ipynb"))
    for i, cell in enumerate(json.loads(file.read_text("utf-8"))["cells"])
    for output in cell.get("outputs", [])
    for html in ["".join(output.get("data", {}).get("text/html", ""))]
    for name in re.findall('data-component="([a-z]+)"', html)
]


@pytest.mark.parametrize("html", STORED)
def test_chapters_show_the_components_of_today(html):
    """After a change to a component run the chapters that show it."""
    name = re.search('data-component="([a-z]+)"', html)[1]
    assert f'<style class="aaren-look">\n{live._css(name)}</style>' in html
    assert f'<script class="aaren-code">\n{live.script(name)}</script>' in html
    if name == "puzzle":  # its mistakes and inputs are among the options
        shown = json.loads(re.search('class="aaren-options">(.*?)</script>', html)[1])
        assert html == live.page(name, {"name": shown["name"], "todo": shown["todo"]})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: show("cel"), r"component must be one of .*'cell'.*; got 'cel'"),
        (lambda: show("cell", score=[1]), "must be those of the component .*got .*'score'"),
        (lambda: show("cell", scores=[]), r"scores must be 1 to 12 numbers; got \[\]"),
        (lambda: show("cell", scores=[float("nan")]), "scores must be"),
        (lambda: show("cell", scores=[float("inf")]), "scores must be"),
        (lambda: show("cell", scores=[1], values=[1, 2]), "values must be 1 to 1 finite"),
        (lambda: show("cell", scores=[1], values=[-np.inf]), "values must be 1 to 1 finite"),
        (lambda: show("cell", read=9), "read must be one of .*; got 9"),
        (lambda: show("cell", cell="other"), "cell must be one of 'package'.*; got 'other'"),
        (lambda: show("cell", precision="half"), "precision must be one of"),
        (lambda: show("curves", points=3), "points must be 1 to 8 pairs .*; got 3"),
        (
            lambda: show("curves", points=[(0, 3)]),
            r"points must be 1 to 8 pairs .*; got \[\(0, 3\)\]",
        ),
        (lambda: show("curves", points=[]), r"points must be 1 to 8 pairs .*; got \[\]"),
        (lambda: show("curves", count=1), "count must be one of .*; got 1"),
        (lambda: show("curves", pace=17), "pace must be one of .*; got 17"),
        (lambda: show("curves", wave="wide"), "wave must be one of .*; got 'wide'"),
        (lambda: show("curves", at=6), "at must be from −5 to 5; got 6"),
        (lambda: show("scan", items=[1]), r"items must be 2 to 16 items; got \[1\]"),
        (lambda: show("scan", items=["a", "b"]), "items must be 2 to 16 numbers; got"),
        (lambda: show("scan", items=[1, 2], op="merge"), "item .* must be 2 to 2 numbers; got 1"),
        (lambda: show("scan", op="-"), r"op must be one of '\+', .*; got '-'"),
        (lambda: show("scan", form="chain"), "form must be one of .*; got 'chain'"),
        (lambda: show("scan", C=1), "C must be one of .*; got 1"),
        (lambda: show("fade", kept=0.9), "kept must be one of .*; got 0.9"),
        (lambda: show("fade", length=50, window=51), "window must be one of .*; got 51"),
        (lambda: show("fade", length=50, values=[1, 2]), "values must be 50 to 50 finite numbers"),
        (lambda: show("state", H=9), "H must be one of .*; got 9"),
        (lambda: show("state", n=1), "n must be one of .*; got 1"),
        (lambda: show("puzzle"), "must be those of the component .*got .*'name'"),
        (lambda: show("puzzle", name="sort"), "name must be one of 'softmax', .*; got 'sort'"),
        (lambda: show("cost", heads=3), "heads must be one of .*; got 3"),
        (lambda: show("cost", precision="int8"), "precision must be one of .*; got 'int8'"),
        (lambda: show("cell", value_range=(2, 1)), r"value_range must be \(low, high\) with low"),
        (lambda: show("wave"), "must be those of the component .*got .*'model'"),
        (lambda: show("wave", model=3), "model must be a file .*; got 3"),
        (lambda: show("wave", model={"format": "x"}), "aaren.stream"),
        (lambda: show("wave", model=[stack()]), "one model or a list of 2 to 5; got 1"),
        (lambda: show("wave", model=[stack()] * 6), "one model or a list of 2 to 5; got 6"),
        (lambda: show("wave", model=[stack(), 3]), "model must be a file .*; got 3"),
        (lambda: show("wave", model=[stack(), reader()]), "theta must have 3 frequencies.*; got 2"),
        (lambda: show("wave", model=stack(), theta=[1]), "theta must have 2 frequencies.*; got 1"),
        (lambda: show("wave", model=stack(), dropout=0.1), "dropout must be one of .*; got 0.1"),
        (lambda: show("wave", model=stack(), steps=5), "steps must be one of .*; got 5"),
        (
            lambda: show(
                "wave", model=document(attention(np.random.default_rng(0), 2, 1, 1, window=3))
            ),
            "model must be a stack of Aaren layers without a window.*; got aaren",
        ),
        (
            lambda: show("heartbeat", model=reader(), beats=[1, 2]),
            r"beats must be 1 to 12 series of 8 to 256",
        ),
        (lambda: show("heartbeat", **HEART | {"patch": 3}), "patch must be one of .*; got 3"),
        (
            lambda: show("heartbeat", **HEART | {"patch": 4}),
            "model must have one layer of Aaren and 4",
        ),
        (
            lambda: show("heartbeat", **HEART | {"labels": ["no"]}),
            "labels must be 4, one for each beat",
        ),
        (
            lambda: show("heartbeat", **HEART | {"labels": ["maybe"] * 4}),
            "labels must be one of 'no', 'yes'",
        ),
        (
            lambda: show("heartbeat", **HEART | {"around": [[0.0] * 9]}),
            r"around must be 0 to 12 series of 32.*\(1, 9\)",
        ),
        (
            lambda: show("heartbeat", **HEART | {"threshold": 0.4}),
            "threshold must be a probability",
        ),
        (lambda: show("heartbeat", **HEART | {"classes": ["one"]}), "classes must be two names"),
        (
            lambda: show("heartbeat", **HEART | {"scale": "z"}),
            "scale must be one of 'none', 'running'",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_in_a_terminal_it_prints_a_line(capsys):
    show("cell", scores=np.array([1 / 3, -np.inf]), values=(1, 2))
    assert capsys.readouterr().out == "live('cell', scores=[0.3333, -inf], values=[1, 2])\n"


def test_nbval_compares_options_and_pictures_and_not_scripts():
    from nbval.plugin import get_sanitize_patterns

    settings = Path(__file__).with_name("nbval-sanitize.cfg").read_text(encoding="utf-8")

    def compared(html):
        for pattern, replacement in get_sanitize_patterns(settings):
            html = re.sub(pattern, replacement, html)
        return html

    html = live.page("cell", {})
    assert len(compared(html)) < 5_000
    assert compared(html) == compared(html.replace("const", "let").replace("44px", "45px"))
    assert compared(html) != compared(live.page("cell", {"read": 2}))


# -- the cell -----------------------------------------------------------------------------------------------

ROWS = ("s", "v", "m", "keep", "add", "u", "w", "o")


def reference(scores, values, cell, dtype):
    """The recurrence in NumPy: columns (m, keep, add, u, w, o)."""
    m, u, w = dtype(0 if cell in ("zero", "bare") else -np.inf), dtype(0), dtype(0)
    rows = []
    with np.errstate(all="ignore"):
        for s, v in zip(np.asarray(scores, dtype), np.asarray(values, dtype)):
            new = m if cell == "bare" else np.maximum(m, s)
            unit = dtype(0) if np.isneginf(new) and cell != "naive" else new
            keep, add = np.exp(m - unit), np.exp(s - unit)
            m, u, w = new, u * keep + add, w * keep + add * v
            o = dtype(0) if cell == "package" and u == 0 else w / u
            rows.append((m, keep, add, u, w, o))
    return np.array(rows, float)


def table(root):
    """Rows s, v, m, keep, add, u, w, o of a component's table, exactly."""
    rows = [
        [float(x) for x in row.locator("td").evaluate_all("l => l.map((n) => n.dataset.value)")]
        for row in root.locator("tbody tr").all()
    ]
    return np.array(rows)


def seeded(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(scale=[1, 30, 400][seed % 3], size=rng.integers(1, 9)).tolist()
    if seed % 2:
        scores[rng.integers(len(scores))] = [-np.inf, 1e4][seed // 2 % 2]
    if seed % 4 == 2:
        scores = [s - 800 for s in scores]
    scores = [float(f"{s:.10g}") for s in scores]
    # the page has the ten digits that an option keeps
    return scores, [float(f"{x:.10g}") for x in rng.normal(size=len(scores))]


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_the_cell_s_numbers_are_those_of_python_and_of_the_engine(visit, precision, tolerance):
    cases = [(*seeded(seed), cell) for seed in range(6) for cell in CELLS]
    cases.append(([-np.inf, -np.inf, 1.0], [1.0, 2.0, 3.0], "naive"))
    keys = ("scores", "values", "cell")
    pages = [live.page("cell", dict(zip(keys, case), precision=precision)) for case in cases]
    page = visit(*pages)
    roots = page.locator(".aaren-live").all()
    lost = 0
    for root, (scores, values, cell) in zip(roots, cases, strict=True):
        shown = table(root)
        expected = reference(scores, values, cell, np.dtype(precision).type).T
        np.testing.assert_array_equal(shown[:2], [scores, values])
        np.testing.assert_allclose(shown[2:], expected, rtol=tolerance, atol=1e-300)
        lost += np.isnan(expected[-1]).any()
        if cell != "naive":
            start = {"zero": "start: 0,", "bare": "stable: false,"}.get(cell, "")
            data = json.dumps([scores, [[v] for v in values]])
            states = engine(
                page,
                f"E.prefixAttention(...{data}, {{{start} precision: '{precision}'}})"
                ".states.map(({ m, u, w }) => [m, u, w[0]])",
            )
            np.testing.assert_array_equal(shown[[2, 5, 6]], np.array(states, float).T)
    assert 4 <= lost < len(cases) - 8  # cases that overflow, and cases that do not


@pytest.fixture
def cell(visit):
    return visit(live.page("cell", {"scores": [1, -1, 2], "values": [2, 0, -2]}))


def test_dragging_a_bar_and_a_dot_changes_their_numbers(cell):
    before = table(cell)
    for name, row, index in [("score", 0, 1), ("value", 1, 0)]:
        grip = cell.get_by_role("slider", name=f"{name} of token {index + 1}")
        box = grip.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        cell.mouse.move(x, y)
        cell.mouse.down()
        cell.mouse.move(x, y - 21, steps=3)
        cell.mouse.up()
        after = table(cell)
        moved = after[row, index] - before[row, index]
        assert 0.6 < moved < 1.4
        assert float(grip.get_attribute("aria-valuenow")) == after[row, index]
        cell.mouse.move(x, y - 10)  # over the grip still, but it was let go
        assert table(cell)[row, index] == after[row, index]
    np.testing.assert_allclose(
        after[2:], reference(*after[:2], "package", np.float64).T, rtol=1e-12
    )
    assert (after[5:, 1:] != before[5:, 1:]).all()


@pytest.mark.parametrize(
    "key, moved", [("ArrowUp", 0.1), ("ArrowLeft", -0.1), ("PageUp", 1), ("Home", -4), ("End", 2)]
)
def test_keys_move_a_handle(cell, key, moved):
    grip = cell.get_by_role("slider", name="score of token 1")
    grip.press(key)
    assert table(cell)[0, 0] == pytest.approx(1 + moved)
    assert grip.get_attribute("aria-valuetext") == f"{1 + moved:g}".replace("-", "−")


def test_touch_moves_a_handle(visit):
    page = visit(
        live.page("cell", {"scores": [1, -1, 2], "values": [2, 0, -2]}),
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True,
    )  # fmt: skip
    grip = page.get_by_role("slider", name="value of token 2")
    grip.scroll_into_view_if_needed()
    box, before = grip.bounding_box(), table(page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, points in [
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y - 30}]),
        ("touchMove", [{"x": x, "y": y - 40}]),
        ("touchEnd", []),
    ]:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    moved = table(page) - before
    assert 1 < moved[1, 1] < 2.5
    assert (moved[0] == 0).all()


def test_tokens_come_and_go_and_scores_go_to_the_extremes(cell):
    cell.get_by_role("button", name="Add a token").click()
    assert table(cell).shape[1] == 4
    cell.get_by_role("slider", name="score of token 2").focus()
    cell.get_by_role("button", name="score −∞").press("Enter")
    cell.get_by_role("slider", name="score of token 3").focus()
    cell.get_by_role("button", name="score 10⁴").click()
    assert table(cell)[0, 1:3].tolist() == [-np.inf, 1e4]
    assert cell.get_by_role("slider", name="score of token 2").get_attribute("aria-valuetext") == (
        "minus infinity"
    )
    cell.get_by_role("button", name="Remove it").click()  # token 3, the one at hand
    assert table(cell).shape[1] == 3 and 1e4 not in table(cell)[0]
    for _ in range(2):
        cell.get_by_role("button", name="Remove it").click()
    assert cell.get_by_role("button", name="Remove it").is_disabled()


def test_choices_change_the_computation(cell):
    for name in CELLS:
        cell.get_by_role("combobox", name="cell").select_option(name)
        cell.get_by_role("combobox", name="numbers").select_option("float32")
        shown = table(cell)
        expected = reference(*shown[:2], name, np.float32).T
        np.testing.assert_allclose(shown[2:], expected, rtol=1e-6)
    assert (shown[5] != reference(*shown[:2], name, np.float64).T[3]).any()


@pytest.mark.parametrize(
    "name, cell_after, words, first",
    [
        ("A score of 10⁴", "bare", "overflowed, and ∞ / ∞ is NaN", 2),
        ("All far below 0", "zero", "rounded to 0. So u = 0", 0),
        ("A hidden first token", "naive", "−∞ − (−∞) is not a number", 0),
    ],
)
def test_what_breaks_is_seen_to_break_and_stays_so(visit, name, cell_after, words, first):
    page = visit(live.page("cell", {}))
    page.get_by_role("button", name=name).click()
    assert page.get_by_role("combobox", name="cell").input_value() == cell_after
    outputs = table(page)[-1]
    assert np.isnan(outputs[first:]).all() and not np.isnan(outputs[:first]).any()
    assert words in page.locator(".aaren-words").inner_text()
    assert page.locator("td[data-part=o].aaren-bad").count() == len(outputs) - first
    page.get_by_role("combobox", name="cell").select_option("package")
    assert np.isfinite(table(page)[-1]).all()
    page.get_by_role("button", name="Start again").click()
    assert table(page)[0].tolist() == [0.3, -0.9, 0.9, 0.1, 1.6, 0.6]


@pytest.mark.parametrize("T", [1, 2, 3])
def test_what_breaks_breaks_with_few_tokens_too(visit, T):
    page = visit(live.page("cell", {"scores": [0.5] * T, "values": [1] * T}))
    for name in ("A score of 10⁴", "All far below 0", "A hidden first token"):
        page.get_by_role("button", name=name).click()
        shown = table(page)
        assert shown.shape[1] == T and np.isnan(shown[-1]).any()
        page.get_by_role("button", name="Start again").click()
        assert table(page)[0].tolist() == [0.5] * T


def test_tokens_read_are_played_and_the_new_numbers_said(visit):
    page = visit(live.page("cell", {"read": 2}))
    read = page.get_by_role("slider", name="tokens read")
    read.press("ArrowRight")
    assert page.locator("td.aaren-now[data-part=o]").inner_text() == "0.298"
    page.get_by_text("Token 3 is a record").first.wait_for()
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.includes('Token 3')"
    )
    page.clock.install()
    page.get_by_role("button", name="Play").press("Enter")
    page.clock.run_for(800)
    assert read.input_value() == "5"
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(3000)
    assert read.input_value() == "5"


def test_equation_code_and_number_light_up_together(visit):
    page = visit(live.page("cell", {"read": 5}))
    grid = page.get_by_role("grid")
    lit = ".aaren-lit"
    for part, code in [("keep", "np.exp(m"), ("u", "u * keep"), ("o", "w / u")]:
        for column in range(3):
            grid.locator(f"[data-part={part}]").nth(column).hover()
            assert grid.locator(lit).count() == 3 and code in grid.locator(lit).nth(1).inner_text()
            assert page.locator(f"tbody td[data-part={part}]{lit}").count() == 6
    page.locator("tbody td[data-part=w]").nth(4).click()  # a tap on a number
    assert "w * keep" in grid.locator(lit).nth(1).inner_text()
    page.mouse.move(1, 1)
    assert grid.locator(lit).count() == 3  # and it stays
    first = grid.locator("[tabindex='0']")
    first.focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.innerText") == "add = np.exp(s - r)"
    assert grid.locator(lit).count() == 3 and page.locator(f"[data-part=add]{lit}").count() > 8


def test_the_step_s_numbers_in_the_equations_are_those_of_the_table(visit):
    page = visit(live.page("cell", {"read": 5}))
    column = table(page)[:, 4]
    for part, shown in zip(ROWS[2:], column[2:]):
        text = page.get_by_role("grid").locator(f"[data-part={part}]").nth(2).inner_text()
        assert float(text.split("=")[1].replace("−", "-")) == pytest.approx(shown, rel=1e-3)


def test_the_short_form_shows_the_state_in_four_boxes(visit):
    page = visit(live.page("cell", {"lines": False, "read": 3}))
    assert page.locator("table, [role=grid], select").count() == 0
    expected = reference([0.3, -0.9, 0.9], [2, 2.5, -1], "package", np.float64)[-1][[0, 3, 4, 5]]
    boxes = page.locator(".aaren-box [data-value]").all()
    np.testing.assert_allclose([value(box) for box in boxes], expected, rtol=1e-12)


def test_the_table_stands_under_the_picture(visit):
    page = visit(live.page("cell", {"scores": [0.5, -1.25, 0.123, 2], "values": [1, 2, 3, 4]}))
    middle = "l => l.map((n) => n.getBoundingClientRect()).map((box) => box.x + box.width / 2)"
    columns = page.locator("tbody tr").first.locator("td").evaluate_all(middle)
    bars = page.get_by_role("slider", name="score of").evaluate_all(middle)
    np.testing.assert_allclose(columns, bars, atol=1)
    assert page.locator("tr").nth(1).evaluate("n => getComputedStyle(n).backgroundColor") == (
        "rgba(0, 0, 0, 0)"
    )


@pytest.mark.parametrize("score", [-np.inf, 1e4])
def test_a_score_out_of_the_picture_is_written_beside_its_bar(visit, score):
    drawn = {"scores": [0.5, score], "values": [1, 2], "score_range": (-3, 3)}
    page = visit(live.page("cell", drawn))
    box = "node => node.getBoundingClientRect().toJSON()"
    word = page.locator("svg text", has_text=re.compile("−∞|10000")).evaluate(box)
    bar = page.locator("svg > rect[fill='var(--score)']").last.evaluate(box)
    assert word["bottom"] <= bar["top"] or word["top"] >= bar["bottom"]


def test_the_picture_s_numbers_are_those_of_the_page(visit):
    options = {"scores": [0.0, -np.inf, 2.0], "values": [1.0, 2.0, 3.0], "read": 3}
    page = visit(live.page("cell", options))
    alt = re.search(r'alt="([^"]*)"', live.page("cell", options))[1]
    m, u, w, o = table(page)[[2, 5, 6, 7], 2]
    assert f"maximum {m:.4g}, denominator {u:.4g}, numerator {w:.4g}, output {o:.4g}" in alt


# -- the scan -----------------------------------------------------------------------------------------------

FORMS = ("sequential", "hillis", "blelloch", "blocks", "tree")


def folded(items, op):
    """Items joined one after the other; scores and values as a state."""
    if op in ("merge", "sums"):
        s, v = np.array(items, float).T
        m = s.max()
        e = np.exp(s - (0 if np.isneginf(m) else m))
        return np.array([m, e.sum(), e @ v])
    result = items[0]
    for item in items[1:]:
        result = {
            "+": lambda a, b: a + b,
            "join": lambda a, b: a + b,
            "max": max,
            "mean": lambda a, b: (a + b) / 2,
        }[op](result, item)
    return result


def told(text, op):
    return text if op == "join" else np.array(text.split(), float)


def agree(shown, expected, op):
    if op == "join":
        return shown == expected
    return np.allclose(told(shown, op), expected, rtol=1e-12, atol=1e-12)


def counted(root):
    return [int(value(node)) for node in root.locator("[data-count]").all()]


def expected_counts(form, n, C):
    """Merges and rounds by the formulas of chapters 4 to 6."""
    R = (n - 1).bit_length()
    size = 2**R
    return {
        "sequential": (n - 1, n - 1),
        "hillis": (n * R - (size - 1), R),
        "blelloch": (2 * (size - 1), 2 * R),
        "tree": (size - 1, R),
        "blocks": blocks_counts(n, C),
    }[form]


def blocks_counts(n, C):
    """Chapter 6: inside the blocks, the same of their ends, and a carry for each level but the last."""
    if n <= C:
        return n - 1, n - 1
    blocks = -(-n // C)
    merges, rounds = blocks_counts(blocks, C)
    carried = n - C - (blocks - 1)  # all but the first block, and the ends
    return n - blocks + merges + carried, C - 1 + rounds + (carried > 0)


def seeded_scan(seed):
    rng = np.random.default_rng(seed)
    op = ("+", "max", "join", "merge", "sums")[(seed + seed // 5) % 5]
    n = int(rng.integers(2, 17))
    if op == "join":
        items = list("abcdefghijklmnop"[:n])
    elif op in ("merge", "sums"):
        items = rng.normal(scale=30, size=(n, 2)).round(1).tolist()
        items[rng.integers(n)][0] = -np.inf
    else:
        items = rng.integers(-9, 100, n).tolist()
    return {
        "items": items,
        "op": op,
        "form": FORMS[seed % 5],
        "forms": FORMS,
        "C": int(rng.integers(2, 9)),
        "direction": ("forward", "backward")[seed // 2 % 2],
    }


def test_every_number_in_a_scan_is_that_of_python(visit):
    cases = [seeded_scan(seed) for seed in range(25)]
    page = visit(*(live.page("scan", case) for case in cases))
    for root, case in zip(page.locator(".aaren-live").all(), cases, strict=True):
        items, op, n = case["items"], case["op"], len(case["items"])
        nodes = root.locator("svg > g").evaluate_all("l => l.map((n) => ({ ...n.dataset }))")
        for node in nodes:
            low, high = map(int, node["range"].split())
            if low <= high:
                assert agree(node["value"], folded(items[low : high + 1], op), op), (case, node)
        outputs = [b.get_attribute("data-value") for b in root.locator(".aaren-out").all()]
        backward = case["direction"] == "backward"
        parts = [items[k:] if backward else items[: k + 1] for k in range(n)]
        if case["form"] == "tree":
            parts = [items]
        assert len(outputs) == len(parts)
        for output, part in zip(outputs, parts):
            assert agree(output, folded(part, op), op), case
        assert root.locator(".aaren-bad").count() == 0
        merges, rounds = expected_counts(case["form"], n, case["C"])
        assert counted(root) == [merges, rounds, n * rounds - merges], case


def test_the_ends_of_the_blocks_recurse(visit):
    """Sixteen items in blocks of two: four levels up, three carries down, fewer rounds than Blelloch's eight."""
    for direction in ("forward", "backward"):
        case = {"items": range(16), "form": "blocks", "C": 2, "direction": direction}
        html = live.page("scan", case)
        page = visit(html)
        merges, rounds, _ = counted(page)
        assert (merges, rounds) == (26, 7) and rounds < expected_counts("blelloch", 16, 2)[1]
        assert "26 merges in 7 rounds" in html
        steps, labels, done = page.get_by_role("slider", name="steps shown"), [], []
        steps.press("Home")
        for _ in range(rounds):
            steps.press("ArrowRight")
            labels.append(steps.get_attribute("aria-valuetext"))
            done.append(counted(page)[0])
        assert labels == ["inside 1", *(f"ends {r}" for r in range(1, 6)), "carry in"]
        assert np.diff([0, *done]).tolist() == [8, 4, 2, 1, 1, 3, 7]


@pytest.mark.parametrize("C", range(2, 9))
def test_the_picture_of_the_blocks_makes_every_prefix_in_as_many_merges_as_the_page(C):
    for n in range(2, 17):
        rounds = live._scan_rounds("blocks", n, C)
        assert (sum(map(len, rounds)), len(rounds)) == expected_counts("blocks", n, C)
        held = [[k] for k in range(n)]
        for merges in rounds:
            before = list(held)
            for i, k in merges:
                held[k] = before[i] + before[k]
        assert held == [list(range(k + 1)) for k in range(n)]


def test_the_merges_are_the_engine_s(visit):
    items = [(0.5, 1.0), (30.0, 2.0), (-np.inf, 3.0), (1.0, -4.0), (40.0, 0.5)]
    page = visit(live.page("scan", {"items": items, "op": "merge", "form": "hillis"}))
    shown = [told(b.get_attribute("data-value"), "merge") for b in page.locator(".aaren-out").all()]
    data = "[0.5, 30, -Infinity, 1, 40], [[1], [2], [3], [-4], [0.5]]"
    states = engine(page, f"E.prefixAttention({data}).states.map(({{ m, u, w }}) => [m, u, w[0]])")
    np.testing.assert_allclose(shown, states, rtol=1e-15)


def test_sums_are_shown_in_their_units(visit):
    """The six tokens of chapter 6, and their prefixes on the way back in chapter 7; here each brings 2."""
    forth = [(s, 2) for s in np.log([1, 2, 4, 1, 8, 2])]
    back = [(-s, 2) for s in np.log([1, 2, 4, 4, 8, 8])]
    blocks = {"op": "sums", "form": "blocks", "C": 2}
    page = visit(
        live.page("scan", {"items": forth, **blocks}),
        live.page("scan", {"items": back, "direction": "backward", **blocks}),
    )
    expected = (
        ["2", "3", "3.5", "4", "4", "4.5"],
        ["4.5", "5", "6", "4", "4", "2"],
    )
    first = "Output 6 is 4.5 in units of 8", "Output 1 is 4.5 in units of 1"
    for root, sums, words in zip(page.locator(".aaren-live").all(), expected, first, strict=True):
        assert root.locator(".aaren-out").all_inner_texts() == sums
        assert words in root.locator(".aaren-words").inner_text()
    root.locator(".aaren-out").nth(2).hover()
    assert "Output 3 is 6 in units of 0.25:" in root.locator(".aaren-words").inner_text()


@pytest.mark.parametrize("form", FORMS)
def test_the_picture_of_suffixes_leads_to_the_left(form):
    for direction, word, sign in (("forward", "an earlier", 1), ("backward", "a later", -1)):
        options = {"form": form, "forms": FORMS, "items": range(6), "direction": direction}
        html = live.page("scan", options)
        svg = unquote(re.search(r'<img src="data:image/svg\+xml,([^"]*)"', html)[1])
        lines = re.findall(r"M(\d+) \d+L(\d+) \d+", svg)
        assert lines and all(sign * (int(end) - int(start)) > 0 for start, end in lines)
        assert f"A line leads from {word} item" in html


def test_the_operator_that_is_not_associative_is_told_so(visit):
    page = visit(live.page("scan", {"op": "mean", "form": "sequential"}))
    assert page.locator(".aaren-bad").count() == 0
    page.get_by_role("button", name="Hillis–Steele").click()
    outputs = [value(b) for b in page.locator(".aaren-out").all()]
    chain = [folded([3, 1, 4, 1, 5, 9, 2, 6][: k + 1], "mean") for k in range(8)]
    wrong = [k for k in range(8) if not np.isclose(outputs[k], chain[k])]
    flagged = [k for k, b in enumerate(page.locator(".aaren-out").all()) if "≠" in b.inner_text()]
    assert wrong == flagged and len(wrong) >= 4
    words = page.locator(".aaren-words").inner_text()
    assert "One after the other it is 5.063" in words and "not associative" in words


def test_an_output_shows_the_inputs_that_reached_it_and_the_way(visit):
    page = visit(live.page("scan", {"form": "blelloch"}))
    for k, merges, chain, reached in [(4, 5, 4, 5), (1, 2, 2, 2), (7, 7, 3, 8)]:
        page.locator(".aaren-out").nth(k).hover()
        words = page.locator(".aaren-words").inner_text()
        assert f"Output {k + 1} is" in words
        assert f"{merges} merges, at most {chain} in a row" in words
        assert page.locator(".aaren-reached").count() == reached
        assert page.locator("svg .aaren-merge.aaren-way").count() == merges
    page.keyboard.press("Tab")
    page.locator(".aaren-out").nth(2).focus()
    assert page.locator(".aaren-out").nth(2).get_attribute("aria-pressed") == "true"
    assert "Grouped as (1∘2) ∘ 3." in page.locator(".aaren-words").inner_text()
    page.get_by_role("textbox", name="item 6").focus()
    assert "Item 6 reaches outputs 6, 7, 8." in page.locator(".aaren-words").inner_text()


def test_the_reader_s_own_items_are_computed(visit):
    page = visit(live.page("scan", {}))
    item = page.get_by_role("textbox", name="item 2")
    item.fill("-2.5")
    assert [value(b) for b in page.locator(".aaren-out").all()][:3] == [3, 0.5, 4.5]
    item.fill("x")
    assert item.get_attribute("aria-invalid") == "true"
    assert page.locator(".aaren-out").nth(0).inner_text() == "3"
    assert page.locator(".aaren-out").nth(1).inner_text() == "NaN"
    item.fill("0")
    assert item.get_attribute("aria-invalid") is None
    page.get_by_role("combobox", name="operator").select_option("join")
    assert page.locator(".aaren-out").last.get_attribute("data-value") == "abcdefgh"
    page.get_by_role("textbox", name="item 1").fill("zz")
    assert page.locator(".aaren-out").last.get_attribute("data-value") == "zzbcdefgh"
    page.get_by_role("combobox", name="operator").select_option("merge")
    page.get_by_role("textbox", name="score 1").fill("-inf")
    assert told(page.locator(".aaren-out").first.get_attribute("data-value"), "merge").tolist() == [
        -np.inf, 0, 0,
    ]  # fmt: skip


def test_scan_controls_by_key_and_touch(visit):
    page = visit(live.page("scan", {}), viewport={"width": 390, "height": 844}, has_touch=True)
    page.get_by_role("button", name="blocks").tap()
    assert counted(page) == [10, 5, 30]
    block = page.get_by_role("slider", name="block of")
    block.press("End")
    assert counted(page) == [7, 7, 49]  # one block: the chain
    block.press("Home")
    page.get_by_role("slider", name="items").press("ArrowLeft")
    assert counted(page) == [9, 5, 26] and page.locator(".aaren-out").count() == 7
    page.get_by_role("slider", name="items").press("End")  # the longest grouping breaks
    page.get_by_role("button", name="sequential").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="blocks").tap()
    page.get_by_role("slider", name="items").press("Home")
    for _ in range(5):
        page.get_by_role("slider", name="items").press("ArrowRight")
    steps = page.get_by_role("slider", name="steps shown")
    steps.press("Home")
    assert counted(page) == [0, 0, 0]
    assert page.locator(".aaren-out").nth(1).inner_text() == ""
    steps.press("ArrowRight")
    assert counted(page)[:2] == [3, 1]
    assert steps.get_attribute("aria-valuetext") == "inside 1"
    page.get_by_role("combobox", name="direction").select_option("backward")
    assert (
        value(page.locator(".aaren-out").first) == 25
        and page.locator(".aaren-out").first.get_attribute("aria-pressed") == "true"
    )


def test_eight_items_fit_on_a_phone_and_a_new_one_comes_into_view(visit):
    items = [(float(f"{np.log(i):.4g}"), i) for i in range(1, 9)]
    scan = live.page("scan", {"items": items, "op": "merge", "form": "blocks", "C": 4})
    page = visit(scan, viewport={"width": 374, "height": 844}, is_mobile=True)
    frame = page.locator(".aaren-scroll")
    assert frame.evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    label = page.get_by_text("inside 1").bounding_box()
    assert label["x"] + label["width"] <= page.locator(".aaren-item").first.bounding_box()["x"]
    page.get_by_role("slider", name="items", exact=True).press("End")
    page.wait_for_function("document.querySelector('.aaren-scroll').scrollLeft > 0")
    last = page.locator(".aaren-out").last.bounding_box()
    assert last["x"] + last["width"] <= 374


def test_forms_move_into_each_other_and_stand_still_where_asked(visit):
    for motion in ("no-preference", "reduce"):
        page = visit(live.page("scan", {}), reduced_motion=motion)
        page.get_by_role("button", name="Hillis–Steele").click()
        moving = page.evaluate("document.querySelector('svg').hasAttribute('data-moving')")
        assert moving == (motion != "reduce")
        page.wait_for_function("!document.querySelector('svg').hasAttribute('data-moving')")
        columns = {}
        for node in page.locator("svg > g").all():
            if node.is_visible():
                x, y = re.findall(r"-?[\d.]+", node.get_attribute("transform"))
                columns.setdefault(float(y), []).append(float(x))
        assert [len(set(xs)) for xs in columns.values()] == [7, 6, 4]


def test_play_shows_round_after_round(visit):
    page = visit(live.page("scan", {"form": "hillis"}))
    page.clock.install()
    page.get_by_role("button", name="Play").click()
    seen = [counted(page)[0]]
    for _ in range(3):
        page.clock.run_for(950)
        seen.append(counted(page)[0])
    assert seen == [0, 7, 13, 17]


@pytest.mark.parametrize("form", FORMS)
def test_the_picture_of_a_scan_counts_what_the_page_counts(visit, form):
    options = {"form": form, "forms": FORMS, "items": range(1, 12), "C": 3}
    page = visit(live.page("scan", options))
    alt = re.search(r'alt="([^"]*)"', live.page("scan", options))[1]
    merges, rounds, _ = counted(page)
    assert f"{merges} merges in {rounds} rounds" in alt


# -- be the state -------------------------------------------------------------------------------------------


def scores_shown(page):
    texts = page.locator(".aaren-score b").evaluate_all("l => l.map((n) => n.dataset.value)")
    return [float(text) if text else None for text in texts]


def test_a_round_is_played_by_keyboard_and_scored(visit):
    page = visit(live.page("state", {"n": 4, "H": 2, "seed": 3}))
    card, kept, errors = page.locator(".aaren-card"), {}, []
    for _ in range(3):
        seen = {}
        for at in range(4):
            _, key, value_text = card.inner_text().split("\n")
            seen[key] = float(value_text.removeprefix("value ").replace("−", "-"))
            if at < 2:
                page.get_by_role("button", name=f"Keep as number {at + 1}").press("Enter")
                kept[key] = seen[key]
            else:
                page.get_by_role("button", name="Let it pass").press("Enter")
        assert len(seen) == 4
        asked = card.inner_text().split("\n")[1]
        answer = page.get_by_role("textbox", name="your answer")
        answer.fill("nothing")
        answer.press("Enter")
        assert "An answer is a number" in page.locator(".aaren-words").inner_text()
        answer.fill("0.5")
        answer.press("Enter")
        errors.append((seen[asked] - 0.5) ** 2)
        assert (
            f"It was {seen[asked]:g}".replace("-", "−") in page.locator(".aaren-words").inner_text()
        )
        assert scores_shown(page) == [pytest.approx(np.mean(errors)), 0.5, 0]
        page.keyboard.press("Enter")  # the focus is on "Next round"
    page.get_by_role("button", name="Begin again").click()
    assert scores_shown(page)[0] is None


def test_the_end_of_a_round_tells_the_value_and_keeps_the_focus(visit):
    page = visit(live.page("state", {"n": 2, "H": 1, "seed": 3}))
    seen, card = {}, page.locator(".aaren-card")
    let = page.get_by_role("button", name="Let it pass")
    for _ in range(2):
        _, key, told = card.inner_text().split("\n")
        seen[key] = told
        let.press("Enter")
    asked = card.inner_text().split("\n")[1]
    assert page.locator(":focus").inner_text() == "0, the mean"
    page.keyboard.press("Enter")
    assert card.inner_text().split("\n") == ["the round is over", asked, seen[asked]]
    page.keyboard.press("Enter")
    assert card.inner_text().startswith("card 1 of 2")
    assert page.locator(".aaren-bar :focus").count() == 1
    row = page.locator(".aaren-score").first
    assert row.inner_text().startswith("you")
    page.get_by_role("button", name="keep the first").click()
    assert row.inner_text().startswith("the rule") and "200 rounds" in card.inner_text()


def test_a_number_that_was_kept_answers_without_error(visit):
    page = visit(live.page("state", {"n": 2, "H": 2}))
    for slot in (1, 2):
        page.get_by_role("button", name=f"Keep as number {slot}").click()
    asked = page.locator(".aaren-card b").inner_text().removeprefix("key ")
    page.get_by_role("button", name=f"{asked} ").first.click()
    assert scores_shown(page) == [0, 0, 0]


@pytest.mark.parametrize("H", [1, 4])
def test_the_bound_holds_for_a_rule_that_does_not_look_and_not_for_one_that_does(visit, H):
    page = visit(live.page("state", {"H": H}))
    rules = {rule: [] for rule in ("first", "largest")}
    for rule, means in rules.items():
        for _ in range(8):
            page.get_by_role("button", name=f"keep the {rule}").click()
            means.append(scores_shown(page)[0])
    assert scores_shown(page)[1] == 1 - H / 8
    assert np.mean(rules["first"]) == pytest.approx(1 - H / 8, abs=0.12)
    assert np.mean(rules["largest"]) < 0.8 * (1 - H / 8)
    page.get_by_role("slider", name="numbers you may keep").press("ArrowRight")
    assert scores_shown(page)[:2] == [None, 1 - (H + 1) / 8]


# -- dropout on one feature ---------------------------------------------------------------------------------


def test_runs_on_one_feature_and_the_loss_are_those_of_its_masks(visit):
    page = visit(live.page("mask", {"runs": 100, "seed": 3}))
    knob = page.get_by_role("slider", name="height a")
    words = page.locator(".aaren-words")
    for rate, height in ((10, 1.0), (10, 0.9), (40, 0.9), (0, 0.5), (60, 1.5)):
        page.get_by_label("dropout, %").fill(str(rate))
        while abs(moves := round(100 * (height - float(knob.get_attribute("aria-valuenow"))))) > 0:
            key = "Page" * (abs(moves) >= 10) + ("Up" if moves > 0 else "Down")
            knob.press(key if key.startswith("Page") else f"Arrow{key}")
        band, answers, curve = values(page, "path[data-values]")
        rho, kept = rate / 100, height / (1 - rate / 100)
        assert set(np.round(answers, 12)) <= {0, round(kept, 12)}
        np.testing.assert_allclose(band, [np.mean(answers), np.std(answers)], atol=1e-12)
        gone = int(np.sum(answers == 0))
        assert abs(gone - 100 * rho) < 15 and f"{gone} of 100 runs lost" in words.inner_text()
        a = np.arange(76) / 50
        miss = rho * 1 + (1 - rho) * (a / (1 - rho) - 1) ** 2  # the two masks by their chances
        np.testing.assert_allclose(curve, miss, atol=1e-12)
        least = "the least there is" in words.inner_text()
        assert least == (height == 1 - rho)
    page.get_by_role("button", name="height that training").press("Enter")
    assert float(knob.get_attribute("aria-valuenow")) == 0.4
    before = values(page, "path[data-values]")[1]
    page.get_by_role("button", name="Draw new masks").press("Enter")
    assert list(values(page, "path[data-values]")[1]) != list(before)
    page.get_by_role("slider", name="runs").fill("7")
    assert len(values(page, "path[data-values]")[1]) == 7
    told = live.page("mask", {"rate": 40, "height": 90})
    assert "a run gives 0 or 1.5, with mean 0.9 and σ 0.73. The loss is 0.55" in told


# -- curves through points ----------------------------------------------------------------------------------


def test_each_curve_leaves_its_start_only_as_far_as_the_points_ask(visit):
    given = {"points": [(-2, 1), (-1.9, -0.5), (3, 0.5)], "count": 4, "wave": "fast", "at": -2}
    page = visit(live.page("curves", given))
    grid = np.linspace(-5, 5, 121)

    def drawn(**changes):
        return live._curves_drawn(live._curves_options(**{**given, **changes}))[1]

    def compare(right):
        sigma, truth, curves, mean = values(page, "path[data-values]")
        np.testing.assert_allclose(curves, right, atol=1e-7)
        np.testing.assert_allclose(mean, np.mean(right, axis=0), atol=1e-7)
        np.testing.assert_allclose(sigma, np.std(right, axis=0, ddof=1), atol=1e-7)
        np.testing.assert_allclose(truth, -np.sin(1.25 * np.pi * grid), atol=1e-12)
        inside = np.mean(np.abs(np.subtract(truth, mean)) <= 2 * np.array(sigma))
        assert (
            f"holds {round(100 * inside)} % of the fast"
            in page.locator(".aaren-words").inner_text()
        )

    compare(drawn())
    # the starts lie apart, and a point pins them
    page.get_by_role("button", name="Before training").press("Enter")
    starts = np.array(values(page, "path[data-values]")[2])
    at_point = np.abs(grid - 3).argmin()
    assert starts[:, at_point].std() > 0.3 and drawn()[:, at_point].std() < 0.05
    page.get_by_role("button", name="Before training").press("Enter")
    page.get_by_role("slider", name="point 1 of 3").press("ArrowLeft")
    page.get_by_role("slider", name="point 1 of 3").press("PageDown")
    moved = [(-2.1, 0), *given["points"][1:]]
    compare(drawn(points=moved))
    last = page.get_by_role("slider", name="point 3 of 3")
    box, before = last.bounding_box(), last.get_attribute("aria-valuetext")
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] - 50)  # up, and away
    away = last.get_attribute("aria-valuetext")
    page.mouse.move(*middle)
    page.mouse.up()
    page.mouse.move(*[x + 30 for x in middle])  # it was let go
    assert away != before == last.get_attribute("aria-valuetext")
    page.get_by_role("slider", name="curves").fill("6")
    more = drawn(points=moved, count=6)
    compare(more)
    page.get_by_role("slider", name="pace").fill("5")
    compare(drawn(points=moved, count=6, pace=5))
    page.get_by_role("slider", name="pace").fill("2")
    page.get_by_role("button", name="A point where").press("Enter")
    widest = grid[more.std(axis=0).argmax()]
    moved.append((widest, -np.sin(1.25 * np.pi * widest)))
    compare(drawn(points=moved, count=6))
    page.get_by_role("button", name="New starts").press("Enter")
    compare(drawn(points=moved, count=6, seed=2))
    page.get_by_role("button", name="Take the last").press("Enter")
    compare(drawn(points=moved[:3], count=6, seed=2))


def test_two_waves_that_meet_at_the_points_leave_the_curves_where_they_are(visit):
    page = visit(live.page("curves", {"count": 20}))
    found = {}
    for wave in ("slow", "fast"):
        page.get_by_label("wave behind the points").select_option(wave)
        found[wave] = values(page, "path[data-values]")
        words = page.locator(".aaren-words").inner_text()
        found[wave, "share"] = int(re.search(r"holds (\d+) %", words)[1])
    np.testing.assert_allclose(found["slow"][2], found["fast"][2], atol=1e-9)
    assert found["slow", "share"] > 80 and found["fast", "share"] < 50
    page.get_by_role("slider", name="where to look").press("ArrowLeft")
    page.get_by_role("slider", name="pace").fill("12")  # starts as fast as the wave
    words = page.locator(".aaren-words")
    assert int(re.search(r"holds (\d+) %", words.inner_text())[1]) > 85
    page.get_by_role("slider", name="pace").fill("2")
    mean, sigma = (np.interp(3.9, np.linspace(-5, 5, 121), found["fast"][i]) for i in (3, 0))
    told = words.inner_text()
    assert "At x = 3.9, 0.9 from the nearest point, the 20 curves" in told
    mean_told, sigma_told = map(float, re.search(r"mean (\S+) and σ (\S+)\.", told).groups())
    assert mean_told == pytest.approx(mean, abs=0.02) and sigma_told == pytest.approx(
        sigma, abs=0.02
    )


# -- forgetting ---------------------------------------------------------------------------------------------


def faded(signal, kept, fresh, window, read):
    """What is left of each token after `read`, and all outputs, token by token."""
    votes, outputs, left = [], [], None
    for k in range(1, len(signal) + 1):
        votes = [0 if k == fresh else vote * kept / 100 for vote in votes] + [1]
        seen = votes if not window else [0] * (k - window) + votes[-window:]
        outputs.append(sum(vote * value for vote, value in zip(seen, signal)) / sum(seen))
        left = seen if k == read else left
    return left, outputs


def test_forgetting_is_that_of_a_loop_over_tokens(visit):
    page = visit(live.page("fade", {"length": 30, "jump": 21}))
    choices = {"kept": 100, "fresh": 0, "window": 0, "read": 30}
    names = dict(zip(choices, ("kept at each token", "begins anew", "window", "tokens read")))
    for change in (
        {},
        {"kept": 70},
        {"kept": 90},
        {"read": 24},
        {"fresh": 23},
        {"window": 5},
        {"kept": 100},
    ):
        choices |= change
        for name, to in change.items():
            page.get_by_label(names[name]).fill(str(to))
        left, outputs = faded([0] * 20 + [1] * 10, **choices)
        bars, signal, shown = values(page, "path[data-values]")
        np.testing.assert_allclose(bars, left, atol=1e-12)
        np.testing.assert_array_equal(signal, [0] * 20 + [1] * 10)
        np.testing.assert_allclose(shown, outputs, atol=1e-12)
        ones = next((k - 20 for k, o in enumerate(outputs, 1) if o >= 0.9), None)
        words = page.locator(".aaren-words").inner_text()
        assert (f"to 0.9 after {ones} one" if ones else "After 10 ones the output has not") in words
        told = re.search(
            r"After token .* output is [^.]*[.]\d*",
            live.page("fade", {"length": 30, "jump": 21, **choices}),
        )
        assert re.search(r"there are (.*) votes", told[0])[1] in words


def test_a_signal_that_is_given_fades_as_the_step_does_and_the_step_comes_back(visit):
    signal = np.random.default_rng(4).normal(size=30).round(2)
    signal[11] = 5.5
    options = {"length": 30, "jump": 21, "values": signal, "called": "a noise"}
    page = visit(live.page("fade", options))
    step, noise = (page.get_by_role("button", name=name) for name in ("a step", "a noise"))
    for chosen, other, shown in ((noise, step, signal), (step, noise, np.arange(30) // 20)):
        chosen.press("Enter")
        assert [node.get_attribute("aria-pressed") for node in (chosen, other)] == ["true", "false"]
        for kept, fresh in ((100, 0), (70, 0), (70, 9)):
            page.get_by_label("kept at each token").fill(str(kept))
            page.get_by_label("begins anew").fill(str(fresh))
            _, outputs = faded(shown, kept, fresh, 0, 30)
            _, drawn, answered = values(page, "path[data-values]")
            np.testing.assert_array_equal(drawn, shown)
            np.testing.assert_allclose(answered, outputs, atol=1e-12)
            words, late = page.locator(".aaren-words").inner_text(), int(np.argmax(outputs))
            peak = f"value is 5.5, at token 12; the output's is {outputs[late]:.2g}, at token {late + 1}."
            assert (peak in words, "ones" in words) == (chosen is noise, chosen is step)
        # the signal's line lies between the two that are named beside it
        labels = page.locator("svg text").all_text_contents()
        low, high = (np.floor(min(shown)), np.ceil(max(shown)))
        assert [f"{low:.0f}".replace("-", "−"), f"{high:.0f}"] == labels[4:6]
        ys = [
            float(y)
            for y in re.findall(r" ([\d.]+)", page.locator("path").nth(1).get_attribute("d"))
        ]
        at = [float(page.locator("svg line").nth(i).get_attribute("y1")) for i in (2, 3)]
        np.testing.assert_allclose(
            ys, at[0] + (at[1] - at[0]) * (shown - low) / (high - low), atol=0.06
        )


def test_without_another_signal_there_is_none_to_choose(visit):
    assert visit(live.page("fade", {})).get_by_role("button").count() == 0


# -- what it costs ------------------------------------------------------------------------------------------


def costs(page):
    return [
        [float(x) for x in row.locator("td").evaluate_all("l => l.map((n) => n.dataset.value)")]
        for row in page.locator("tbody tr").all()
    ]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layers": 12, "heads": 16, "dim": 64, "length": 2**20, "precision": "float16"},
        {"heads": 1, "dim": 4, "length": 1, "precision": "float64"},
    ],
)
def test_costs_are_those_of_arrays_and_loops(visit, options):
    page = visit(live.page("cost", options))
    o = {"layers": 1, "heads": 8, "dim": 32, "length": 4096, "precision": "float32", **options}
    H, D, T = o["heads"], o["dim"], o["length"]
    state = np.dtype("float32" if o["precision"] == "float16" else o["precision"])
    kept = [
        H * sum(np.zeros(n, state).nbytes for n in (1, 1, D)),
        H * sum(np.zeros(n, state).nbytes for n in ((D, D), D)),
        H * 2 * D * T * np.dtype(o["precision"]).itemsize,
    ]
    work = [2 * H * D, 2 * H * (D * D + D), 2 * H * D * T]
    every = [work[0] * T, work[1] * T, 2 * H * D * (T * (T + 1) // 2)]
    expected = o["layers"] * np.array([kept, work, every], float).T
    np.testing.assert_array_equal(costs(page), expected)


def test_the_bytes_are_those_of_the_package_s_states(visit):
    pytest.importorskip("keras")
    from aaren.layers import Aaren, LinearSelfAttention

    shown = costs(visit(live.page("cost", {"heads": 4, "dim": 8})))
    for layer, row in ((Aaren(4, 8), shown[0]), (LinearSelfAttention(4, 8), shown[1])):
        layer.build((None, None, 3))
        state = layer.get_initial_state(1)
        assert sum(np.asarray(part).nbytes for part in state) == row[0]


def test_cost_controls_by_key_mouse_and_choice(visit):
    page = visit(live.page("cost", {}))
    before = costs(page)
    for name, model in [("layers", 0), ("heads", 0), ("size of a head", 0), ("tokens", 2)]:
        control = page.locator("input").and_(page.get_by_role("slider", name=name))
        control.press("ArrowRight")
        assert costs(page)[model][0] > before[model][0], name
        before = costs(page)
    page.get_by_role("combobox", name="numbers").select_option("float16")
    assert costs(page)[2][0] == before[2][0] / 2 and costs(page)[0] == before[0]
    mark = page.locator("g[role=slider]")
    mark.press("Home")
    assert costs(page)[2][0] == 1 * 2 * 2 * 16 * 64 * 2  # one token, two layers, in float16
    box = mark.locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 200, y, steps=4)
    page.mouse.up()
    assert float(mark.get_attribute("aria-valuenow")) > 3
    assert mark.get_attribute("aria-valuetext").endswith(" tokens")


def test_large_costs_fit_and_are_written_out(visit):
    most = {"layers": 48, "heads": 128, "dim": 256, "length": 2**20}
    page = visit(live.page("cost", most), viewport={"width": 374, "height": 844})
    page.get_by_role("button", name="attention with a cache").click()
    assert "2,080,000 times as much" in page.locator(".aaren-words").inner_text()
    assert page.locator(".aaren-line").evaluate("node => node.scrollWidth - node.clientWidth") <= 0


def test_the_code_to_copy_runs(visit):
    pytest.importorskip("keras")
    import keras

    import aaren

    page = visit(live.page("cost", {"heads": 2, "dim": 4}))
    for name in ("Aaren", "linear attention", "attention with a cache"):
        page.get_by_role("button", name=name).click()
        code = page.locator("code").inner_text()
        layer = eval(code, {"aaren": aaren, "keras": keras})
        assert layer.get_config()["num_heads" if "cache" in name else "heads"] == 2
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()


def test_the_picture_of_the_costs_tells_what_the_page_tells(visit):
    page = visit(live.page("cost", {"layers": 3}))
    alt = re.search(r'alt="([^"]*)"', live.page("cost", {"layers": 3}))[1]
    for row in costs(page):
        assert f"{row[0]:,.0f}" in alt


# -- a wave and a trained network ---------------------------------------------------------------------------


def drawn(page):
    """What the page shows, once the dropout runs are done: wave, answers, mean and band of the runs."""
    page.wait_for_function("!document.querySelector('.aaren-live [data-busy]')")
    texts = page.locator("path[data-values]").evaluate_all("l => l.map((n) => n.dataset.values)")
    band, wave, mean, answers = map(json.loads, texts)
    return np.array([wave, answers, mean, band])


def answered(document, wave):
    """Answers, and the state after each step, in Python."""
    stream, beside = Stream(document), np.sin(np.arange(len(wave)))
    states, answers = [], []
    for token in zip(wave, beside):
        answers.append(stream.step(token)[0])
        states.append(stream.state)
    return np.array(answers), states


def dice(seed):
    """The engine's random numbers (mulberry32)."""
    while True:
        seed = (seed + 0x6D2B79F5) % 2**32
        x = ((seed ^ seed >> 15) * (seed | 1)) % 2**32
        x ^= (x + (x ^ x >> 7) * (x | 61)) % 2**32
        yield ((x ^ x >> 14) % 2**32) / 2**32


def test_the_answers_and_the_state_are_those_of_python(visit):
    page = visit(live.page("wave", EVERY["wave"]))
    page.get_by_text("What the model keeps after this step").click()
    for button, wave in [
        ("slow wave", np.sin(0.1 * np.arange(120))),
        ("fast wave", np.sin(np.arange(120))),
        ("a step", np.where(np.arange(120) < 60, -1, 1)),
        ("another frequency", np.sin(0.4 * np.arange(120))),
    ]:
        page.get_by_role("button", name=button).click()
        shown = drawn(page)
        np.testing.assert_allclose(shown[0], wave, atol=1e-14)
        expected, states = answered(stack(), wave)
        np.testing.assert_allclose(shown[1], expected, rtol=1e-12, atol=1e-13)
        heads = page.locator("[data-u]").evaluate_all(
            "l => l.map((n) => [n.dataset.u, n.dataset.o])"
        )
        u = np.concatenate([memory["u"] for memory in states[40]])
        o = [row for memory in states[40] for row in memory["w"] / memory["u"][:, None]]
        np.testing.assert_allclose([float(votes) for votes, _ in heads], u, rtol=1e-12)
        for (_, text), row in zip(heads, o, strict=True):
            np.testing.assert_allclose(json.loads(text), row, rtol=1e-12)
    assert (
        "40 numbers" in page.locator(".aaren-small").last.inner_text()
    )  # 4 (2 + 5) + 3 (2 + 2) = 40


@pytest.mark.slow
def test_the_band_is_that_of_keras_with_the_same_masks(visit):
    keras = pytest.importorskip("keras")
    from aaren.models import ScanRNNAttentionModel

    keras.utils.set_random_seed(3)
    model = ScanRNNAttentionModel([4, 3], [5, 2], forget="constant")
    wave = np.stack([np.sin(0.1 * np.arange(120)), np.sin(np.arange(120))], axis=1)
    model.build((None, None, 2))
    page = visit(live.page("wave", {"model": model, "dropout": 30, "runs": 24, "seed": 5}))
    shown, masks = drawn(page), {0: [], 1: []}
    for run in range(24):  # the engine draws one number for each entry of each mask
        draws = dice(5 + run)
        for index, (part, features) in enumerate(zip(model.parts, (2, 5))):
            for size, rate in ((features, 0.3), (part.heads * part.dim, 0.01)):
                drops = np.array([next(draws) for _ in range(size)]) < rate
                masks[index].append(np.where(drops, 0, 1 / (1 - rate)))
    for index, part in enumerate(model.parts):
        inputs, reads = (np.array(masks[index][i::2], "float32") for i in range(2))
        assert 0 < (inputs == 0).mean() < 1
        part.cell.dropout = 0.3
        part.cell.input_noise = lambda *_, inputs=inputs: keras.ops.convert_to_tensor(inputs)
        part.cell.state_noise = lambda *_, part=part, reads=reads: keras.ops.convert_to_tensor(
            reads.reshape(24, part.heads, part.dim)
        )
    batch = np.repeat(wave[None].astype("float32"), 24, axis=0)
    runs = np.asarray(model(batch, training=True))[..., 0]
    np.testing.assert_allclose(shown[2], runs.mean(axis=0), atol=2e-6)
    np.testing.assert_allclose(shown[3], 2 * runs.std(axis=0), atol=5e-6)
    plain = np.asarray(model(batch[:1]))[0, :, 0]
    np.testing.assert_allclose(shown[1], plain, atol=2e-6)


def distances(wave, theta=0.1):
    """Of each four steps from the nearest four of a sine of any phase."""
    phases = np.linspace(0, 2 * np.pi, 20_000)
    training = np.sin(theta * np.arange(4) + phases[:, None])
    fours = np.lib.stride_tricks.sliding_window_view(wave, 4)
    return np.array([np.linalg.norm(training - four, axis=1).min() for four in fours])


def strip(page):
    return np.array(json.loads(page.locator("[data-apart]").get_attribute("data-apart")))


def words(page):
    return page.locator(".aaren-words").inner_text()


def digits(x):
    return f"{float(f'{x:.2g}'):g}".replace("-", "−")


SHAPES = ("slow wave", "fast wave", "a step", "another frequency")


@pytest.mark.parametrize("seeds", (2, 3, 5))
def test_the_band_of_the_seeds_is_numpy_s_on_the_same_models(visit, seeds):
    models = [stack(seed) for seed in range(seeds)]
    page = visit(live.page("wave", {"model": models, "runs": 2}))
    page.get_by_role("button", name=f"{seeds} seeds").click()
    home = None
    for button in SHAPES:
        page.get_by_role("button", name=button).click()
        wave, answer, mean, band = drawn(page)
        outputs = np.array([answered(model, wave)[0] for model in models])
        sigma = outputs.std(axis=0, ddof=1)
        home = sigma.mean() if home is None else home  # on the slow wave
        np.testing.assert_allclose(answer, outputs[0], rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(band, 2 * sigma, rtol=1e-10, atol=1e-13)
        off, inside = np.sqrt(np.mean((wave - mean) ** 2)), np.mean(np.abs(wave - mean) <= band)
        far = sigma[3:][distances(wave) > 0.1]
        for told in (
            f"The mean of {seeds} seeds is {digits(off)} off, the band is ±{digits(band.mean())}",
            f"it holds {int(100 * inside + 0.5)} % of your wave",
            f"At {len(far)} of 120 steps the distance is above 0.1; there the band is "
            f"{digits(far.mean() / home)} times as wide" if len(far) else "No step is farther than 0.1",
        ):  # fmt: skip
            assert told in words(page)
        parts = bool(len(far)) and far.mean() > 1.5 * home
        assert ("The seeds part there" in words(page)) == parts
        assert ("The seeds agree there" in words(page)) == (bool(len(far)) and not parts)
    thin = page.locator("path[opacity]:not([data-values])").get_attribute("d")
    assert thin.count("M") == seeds


def test_the_mode_s_controls_work_by_keyboard_and_those_without_effect_are_off(visit):
    page = visit(live.page("wave", EVERY["wave"]))
    ways = page.get_by_role("group", name="band from").get_by_role("button")
    assert ways.all_inner_texts() == ["dropout runs", "3 seeds"]
    rate, runs = (
        page.locator("input").and_(page.get_by_role("slider", name=name))
        for name in ("dropout", "runs")
    )
    masks = page.get_by_role("button", name="Draw new masks")
    page.get_by_role("button", name="a step").click()
    pressed, before, heads = [], drawn(page), page.locator("[data-u]")
    kept = heads.evaluate_all("l => l.map((n) => n.dataset.u)")
    assert "shaded: mean ± f σ of its dropout runs" in page.locator("main").inner_text()
    for way, key in ((1, "Enter"), (0, " "), (1, " ")):
        ways.nth(way).press(key)
        after = drawn(page)
        np.testing.assert_array_equal(after[:2], before[:2])  # the wave, and the first's answer
        assert (after[3] == before[3]).all() == (way == 0)  # the same runs as before
        assert heads.evaluate_all("l => l.map((n) => n.dataset.u)") == kept
        pressed = [node.get_attribute("aria-pressed") for node in ways.all()]
        assert pressed == [["true", "false"], ["false", "true"]][way]
        assert [node.is_disabled() for node in (rate, runs, masks)] == [way == 1] * 3
    assert "shaded: mean ± f σ of the 3 seeds" in page.locator("main").inner_text()
    factor = page.get_by_role("slider", name="band: mean ± f σ")
    factor.press("End")
    np.testing.assert_allclose(drawn(page)[3], 5 * after[3], rtol=1e-12)
    page.locator("g[role=slider]").press("PageUp")
    drawn_on = drawn(page)
    assert (drawn_on[2, :40] == after[2, :40]).all() and (
        drawn_on[3, 40:] != 5 * after[3, 40:]
    ).any()
    lone = visit(live.page("wave", {"model": stack(), "runs": 2}))
    assert lone.get_by_role("group", name="band from").count() == 0
    assert lone.get_by_role("button", name="seeds").count() == 0


@pytest.mark.parametrize("theta", (0.1, 0.7))
def test_the_strip_tells_how_far_four_steps_are_from_the_training(visit, theta):
    page = visit(live.page("wave", {"model": stack(), "theta": [theta, 1], "runs": 2}))
    pen = page.locator("g[role=slider]")
    for button in SHAPES:
        page.get_by_role("button", name=button).click()
        pen.press("PageUp")  # a spike, and a clamp at 2
        wave = drawn(page)[0]
        expected = distances(wave, theta)
        np.testing.assert_allclose(strip(page), expected, atol=5e-4)
        told = f"distance from the training: mean {strip(page).mean():.2f}, {strip(page)[37]:.2f} at step 41"
        assert page.get_by_text(told, exact=True).count() == 1
        bars = page.locator("g[data-apart] rect").evaluate_all(
            "l => l.map((n) => ['x', 'width', 'y', 'height', 'opacity'].map((a) => Number(n.getAttribute(a))))"
        )
        x, width, y, height, opacity = np.array(bars).T
        assert (height[:3] == 0).all()
        np.testing.assert_allclose(height[3:], 22 * np.minimum(expected, 2), atol=0.02)
        np.testing.assert_allclose(y + height, y[0])  # all stand on one line
        assert (np.diff(opacity[3:][np.argsort(height[3:])]) >= 0).all()
        steps = page.locator("path[data-values]").nth(1).get_attribute("d")
        steps = np.array(re.findall(r"[ML]([\d.]+) ", steps), float)
        assert (x <= steps).all() and (steps <= x + width).all()  # each under its step
    pen.press("Home")
    assert page.get_by_text(re.compile(r"mean \d\.\d\d$")).count() == 1  # no four steps yet


def test_both_bands_are_compared_with_their_width_on_the_training_s_wave(visit):
    page = visit(live.page("wave", EVERY["wave"]))
    for key in ["PageUp"] * 4 + ["ArrowRight"] * 20:  # drawing leaves the training's wave alone
        page.locator("g[role=slider]").press(key)
    for way in ("dropout runs", "3 seeds"):
        page.get_by_role("button", name=way).click()
        page.get_by_role("button", name="slow wave").click()
        home = drawn(page)[3].mean()
        page.get_by_role("button", name="a step").click()
        far = drawn(page)[3][3:][strip(page) > 0.1]
        told = f"At {len(far)} of 120 steps the distance is above 0.1; there the band is {digits(far.mean() / home)} times"
        assert told in words(page)
    page.get_by_role("button", name="dropout runs").click()
    for change in (
        lambda: page.get_by_role("button", name="Draw new masks").click(),
        lambda: page.get_by_role("slider", name="dropout, %").press("PageUp"),
        lambda: page.get_by_role("slider", name="runs").press("PageDown"),
    ):
        change()
        wide = drawn(page)[3][3:][strip(page) > 0.1].mean()
        asked = words(page)
        page.get_by_role("button", name="slow wave").click()
        assert f"{digits(wide / drawn(page)[3].mean())} times" in asked
        page.get_by_role("button", name="a step").click()
        drawn(page)


def test_the_rate_the_runs_and_the_masks_change_the_band_and_not_the_answer(visit):
    page = visit(live.page("wave", EVERY["wave"]))

    def slider(name):
        return page.locator("input").and_(page.get_by_role("slider", name=name))

    before = drawn(page)
    for change in (
        lambda: slider("dropout").press("ArrowRight"),
        lambda: slider("runs").press("PageUp"),
        lambda: page.get_by_role("button", name="Draw new masks").click(),
    ):
        change()
        after = drawn(page)
        assert (after[3] != before[3]).any()
        np.testing.assert_array_equal(after[:2], before[:2])
        before = after
    slider("dropout").press("Home")
    assert drawn(page)[3].max() < before[3].max()
    assert "hardly a band" in page.locator(".aaren-words").inner_text()


@pytest.mark.parametrize("phone", (False, True))
def test_the_reader_s_factor_widens_the_band_and_the_share_beside_it_is_that_of_the_steps(
    visit, phone
):
    settings = {"viewport": {"width": 390, "height": 844}, "has_touch": True} if phone else {}
    page = visit(live.page("wave", EVERY["wave"]), **settings)
    slider = page.get_by_role("slider", name="band: mean ± f σ")
    share, before = page.locator("[data-inside]"), drawn(page)
    sigma, seen = before[3] / 2, set()
    for press, factor in [
        (None, 2), ("ArrowRight", 2.1), ("Home", 0.5), ("End", 10), ("ArrowLeft", 9.9), ("tap", 5.2),
    ]:  # fmt: skip
        if press == "tap":
            box = slider.bounding_box()
            at = {"x": box["width"] / 2, "y": box["height"] / 2}
            slider.tap(position=at) if phone else slider.click(position=at)
            factor = float(slider.input_value())
            assert 4.5 < factor < 6
        elif press:
            slider.press(press)
        assert float(slider.input_value()) == factor
        after = drawn(page)
        np.testing.assert_array_equal(after[:3], before[:3])  # no run was made anew
        np.testing.assert_allclose(after[3], factor * sigma, rtol=1e-12)
        inside = np.mean(np.abs(after[0] - after[2]) <= factor * sigma)
        assert float(share.get_attribute("data-inside")) == pytest.approx(inside, abs=1e-12)
        told = f"holds {inside:.0%}".replace("%", " % of your wave")
        assert share.inner_text() == told
        assert slider.get_attribute("aria-valuetext") == f"{factor:g}: {told}"
        assert told in page.locator(".aaren-words").inner_text()
        seen.add(told)
    assert len(seen) >= 3
    page.get_by_role("button", name="another frequency").click()
    wave, _, mean, band = drawn(page)
    inside = np.mean(np.abs(wave - mean) <= band)
    assert float(share.get_attribute("data-inside")) == pytest.approx(inside, abs=1e-12)


def test_the_pen_draws_by_key_mouse_and_touch_and_the_past_stays(visit):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit(live.page("wave", EVERY["wave"]), **phone)
    pen, before = page.locator("g[role=slider]"), drawn(page)
    pen.press("ArrowUp")  # step 41 rises, and the two to the right take its value
    pen.press("ArrowRight")
    pen.press("ArrowRight")
    pen.press("Shift+ArrowRight")  # moves without drawing
    after = drawn(page)
    assert after[0][40] == pytest.approx(round(before[0][40] + 0.1, 2))
    assert (after[0][40:43] == after[0][40]).all() and after[0][43] == before[0][43]
    assert pen.get_attribute("aria-valuetext").endswith("step 44 of 120")
    np.testing.assert_array_equal(after[1:, :40], before[1:, :40])  # no answer looks ahead
    assert (after[1, 40:44] != before[1, 40:44]).all()
    paper = page.locator(".aaren-paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    x, y = box["x"] + 0.7 * box["width"], box["y"] + 0.25 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=2)
    page.mouse.up()
    page.mouse.move(x + 60, y + 90)  # let go
    by_mouse = drawn(page)
    high = np.flatnonzero(by_mouse[0] != after[0])
    assert len(high) >= 15 and (np.diff(high) == 1).all() and high[0] > 75
    np.testing.assert_allclose(by_mouse[0][high], 1, atol=0.05)
    touch = page.context.new_cdp_session(page)
    low = y + 0.5 * box["height"]
    for kind, points in [
        ("touchStart", [{"x": x, "y": low}]),
        ("touchMove", [{"x": x + 30, "y": low}]),
        ("touchMove", [{"x": x + 60, "y": low}]),
        ("touchEnd", []),
    ]:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    by_touch = drawn(page)
    moved = np.flatnonzero(by_touch[0] != by_mouse[0])
    assert len(moved) >= 8 and (np.diff(moved) == 1).all()
    np.testing.assert_allclose(by_touch[0][moved], -1, atol=0.05)


def test_the_chapter_s_band_holds_the_wave_of_its_training_and_misses_another(visit):
    book = json.loads((CHAPTERS / "11-sine-waves.ipynb").read_text(encoding="utf-8"))
    outputs = [output for cell in book["cells"] for output in cell.get("outputs", [])]
    htmls = ["".join(output.get("data", {}).get("text/html", "")) for output in outputs]
    (stored,) = [html for html in htmls if 'data-component="wave"' in html]
    page = visit(stored)
    wave, answers, mean, band = drawn(page)
    assert np.mean((answers - wave) ** 2) < 0.05
    assert np.mean(np.abs(wave - mean) <= band) > 0.95
    for theta in ("0.4", "2"):
        page.get_by_role("button", name="another frequency").click()
        page.get_by_role("button", name=f"θ = {theta}", exact=False).last.wait_for()
        far, _, middle, spread = drawn(page)
    assert np.mean(np.abs(far - middle) <= spread) < 0.5
    assert spread.mean() < 1.5 * band.mean()
    grown = {}
    for way in ("dropout runs", "3 seeds"):
        page.get_by_role("button", name=way).click()
        for shape in ("slow wave", "a step", "another frequency"):
            page.get_by_role("button", name=shape).click()
            grown[way, shape] = drawn(page)[3][3:]
            lit = strip(page) > 0.1
            assert lit.sum() == {"slow wave": 0, "a step": 3}.get(shape, lit.sum())
            if lit.any():
                grown[way, shape] = grown[way, shape][lit].mean() / grown[way, "slow wave"].mean()
    assert grown["dropout runs", "a step"] < 1.2 and grown["3 seeds", "a step"] > 4
    assert "The seeds" in words(page)


def test_a_model_s_path_its_stream_and_its_file_are_the_same(tmp_path, capsys):
    path = tmp_path / "model.json"
    stream = Stream(stack())
    stream.run(np.ones((3, 2)))
    stream.save(path)  # with a state, which the page leaves out
    pages = {live.page("wave", {"model": model}) for model in (path, str(path), stream, stack())}
    assert len(pages) == 1
    show("wave", model=stream)
    assert capsys.readouterr().out == "live('wave', model=a model)\n"
    show("wave", model=(stream, stream))
    assert capsys.readouterr().out == "live('wave', model=[a model, a model])\n"


def test_the_picture_of_the_wave_tells_the_error(visit):
    page = visit(live.page("wave", EVERY["wave"]))
    shown = drawn(page)
    off = np.sqrt(np.mean((shown[1] - shown[0]) ** 2))
    assert f"They are {off:.2g} off" in live.page("wave", EVERY["wave"])


# -- a heartbeat --------------------------------------------------------------------------------------------


def values(page, selector):
    texts = page.locator(f"{selector}[data-values]").evaluate_all(
        "l => l.map((n) => n.dataset.values)"
    )
    return [np.array(json.loads(text)) for text in texts]


def heart(page):
    """Your beat, the probability after each token, each head's weights, where the rule speaks."""
    (beat, probability), looks = (
        values(page, "path[fill=none]"),
        values(page, "path[fill='var(--maximum)']"),
    )
    spoken = page.locator(".aaren-stage").get_attribute("data-speaks")
    return beat, probability, np.array(looks), int(spoken) if spoken else None


def heard(document, beats, fresh=False, patch=2):
    """Probabilities and the tokens of Aaren's layer in Python, for beats one after another."""
    p, tokens, each = [], [], len(beats[0]) // patch
    stream, stem = Stream(document), Stream(document | {"layers": document["layers"][:2]})
    for i, token in enumerate(np.concatenate(beats).reshape(-1, patch)):
        if fresh and i % each == 0:
            stream.reset()
            stem.reset()
        token = [*token, ((i % each if fresh else i) + 1) / each]
        p.append(stream.step(token)[-1])
        tokens.append(stem.step(token))
    return np.array(p), np.array(tokens)


def looks(document, tokens, since=0):
    """Each head's weights after the last token, as a softmax."""
    layer = document["layers"][2]
    scores, bias = (decode(part) for part in (layer["scores"], layer["forget"]["bias"]))
    kernel = decode(layer["forget"]["kernel"]) if "kernel" in layer["forget"] else 0 * scores
    G = np.cumsum(-np.log1p(np.exp(-(tokens @ kernel + bias))), axis=0)
    e = np.exp(tokens @ scores - G + G[-1])
    e[:since] = 0
    if "window" in layer:
        e[: -layer["window"]] = 0
    return (e / e.sum(axis=0)).T


@pytest.mark.parametrize(
    "document", [reader(), reader(1, gate=True), reader(window=5)], ids=["two", "one", "window"]
)
def test_probabilities_and_weights_are_those_of_python(visit, document):
    page = visit(live.page("heartbeat", HEART | {"model": document}))
    beat, p, weights, _ = heart(page)
    np.testing.assert_array_equal(beat, BEATS[0])
    expected, tokens = heard(document, [beat])
    np.testing.assert_allclose(p, expected, rtol=1e-12)
    np.testing.assert_allclose(weights, looks(document, tokens), rtol=1e-9, atol=1e-15)
    here = page.get_by_role("slider", name="read up to here")
    here.press("ArrowLeft")
    here.press("ArrowLeft")
    _, _, weights, _ = heart(page)
    np.testing.assert_allclose(weights, looks(document, tokens[:-2]), rtol=1e-9, atol=1e-15)
    assert "After sample 28 of 32" in page.locator(".aaren-words").inner_text()


MOVED = "path[fill='var(--output)'][data-values]"  # without values while it is being computed


def moved(document, beats, usual, k, fresh=False, patch=2):
    """How far each token moves the probability at token k: less what it is with the usual one in its place."""
    each, tokens = len(usual) // patch, np.concatenate(beats).reshape(-1, patch)[: k + 1]
    i = np.arange(k + 1)
    tokens = np.column_stack([tokens, ((i % each if fresh else i) + 1) / each])
    first, found = k // each * each if fresh else 0, np.zeros(k + 1)
    said = Stream(document).run(tokens[first:])[-1, -1]
    for i in range(first, k + 1):
        other = tokens.copy()
        other[i, :patch] = usual.reshape(each, patch)[i % each]
        found[i] = said - Stream(document).run(other[first:])[-1, -1]
    return found


@pytest.mark.parametrize(
    "document", [reader(), reader(1, gate=True), reader(window=5)], ids=["two", "one", "window"]
)
def test_how_far_each_token_moves_the_answer_is_as_in_python(visit, document):
    usual = np.sin(np.arange(32.0)).round(3)
    page = visit(live.page("heartbeat", HEART | {"model": document, "usual": usual}))
    here = page.get_by_role("slider", name="read up to here")
    token = page.get_by_role("slider", name="token that moves the answer")
    for k in (15, 14, 6):  # tokens read, less one
        here.press("Home")
        for _ in range(k):
            here.press("ArrowRight")
        page.wait_for_selector(MOVED, state="attached")
        (shown,) = values(page, MOVED)
        expected = moved(document, BEATS[:1], usual, k)
        np.testing.assert_allclose(shown, expected, rtol=1e-9, atol=1e-14)
        assert token.get_attribute("aria-valuenow") == str(1 + np.abs(expected).argmax())
    _, p, weights, _ = heart(page)
    token.press("Home")
    for i in (1, 2):
        token.press("ArrowRight")
        side, size = "yes" if expected[i] > 0 else "no", abs(expected[i])
        told = (
            f"moves the answer by {size:.3f} towards {side}" if size >= 1e-3 else "less than 0.001"
        )
        assert told in token.get_attribute("aria-valuetext")
        words = page.locator(".aaren-stage p", has_text="with the usual one").inner_text()
        assert words.startswith(f"Token {i + 1} (samples {2 * i + 1} to {2 * i + 2}) moves")
        assert told in words and f"with the usual one it is {p[6] - expected[i]:.3f}. " in words
        shares = [100 * weights[:, i : i + n].sum() / 4 for n in (1, 3)]  # the stem hears two more
        there, all_ = (f"{share:.2g}" for share in shares)
        assert f"weight there is {there} %, and {all_} % on all" in words


def test_a_usual_token_is_the_beats_mean_and_a_pointer_asks_about_any(visit):
    page = visit(live.page("heartbeat", HEART | {"around": BEATS[2:], "count": 2}))
    button = page.get_by_role("button", name="Begin anew at each beat")
    for fresh in (False, True):
        page.wait_for_selector(MOVED, state="attached")
        order = [BEATS[0], BEATS[2]]
        expected = moved(HEART["model"], order, BEATS.mean(axis=0), 31, fresh)
        # the means have four digits
        np.testing.assert_allclose(values(page, MOVED)[0], expected, rtol=0.01, atol=1e-4)
        assert np.abs(expected[16:]).max() > 0.01 and expected[:16].any() != fresh
        button.click()
    page.locator(MOVED).scroll_into_view_if_needed()
    box = page.get_by_text("Where heads look").bounding_box()
    wide = page.locator(".aaren-stage").bounding_box()["width"] - 46
    page.mouse.move(box["x"] + wide * 20.5 / 32, box["y"] + 40)
    token = page.get_by_role("slider", name="token that moves the answer")
    assert token.get_attribute("aria-valuenow") == "21"
    assert page.get_by_text("Token 21 (samples 41 to 42) moves").is_visible()


def test_a_beat_among_others_is_one_stream_unless_it_begins_anew(visit):
    page = visit(live.page("heartbeat", HEART | {"around": BEATS[2:]}))
    many = page.locator("input").and_(page.get_by_role("slider", name="beats in the recording"))
    for _ in range(3):
        many.press("ArrowRight")
    page.locator("input").and_(page.get_by_role("slider", name="place of your beat")).press(
        "ArrowRight"
    )
    order = [BEATS[2], BEATS[0], BEATS[3], BEATS[2]]
    button = page.get_by_role("button", name="Begin anew at each beat")
    for fresh in (False, True):
        _, p, weights, _ = heart(page)
        expected, tokens = heard(HEART["model"], order, fresh)
        np.testing.assert_allclose(p, expected, rtol=1e-12)
        since = 48 if fresh else 0
        np.testing.assert_allclose(
            weights, looks(HEART["model"], tokens, since), rtol=1e-9, atol=1e-15
        )
        told = "The clock, which ended at 1 in training, has run to 4."
        assert (told in page.locator(".aaren-words").inner_text()) == (not fresh)
        button.click()
    assert button.get_attribute("aria-pressed") == "false"


@pytest.mark.slow
def test_an_early_classifier_says_on_the_page_what_it_says_in_python(visit):
    pytest.importorskip("aeon")
    from aaren.estimators import AarenEarlyClassifier

    rng = np.random.default_rng(6)
    y = np.arange(24) % 2
    X = rng.normal(size=(24, 32)) + np.where(np.arange(32) > 9, 2.0, 0)[None] * y[:, None]
    X = np.array([[float(f"{x:.4g}") for x in row] for row in X])
    sizes = dict(heads=2, dim=3, filters=4, steps=30, folds=2, max_tokens=16, random_state=0)
    early = AarenEarlyClassifier(tolerance=0.2, **sizes).fit(X, y)
    assert early.threshold_ < 1 and early.patch_ == 2
    early.predict(X)
    read, label, decided = early.state_info.T
    beats = dict(beats=X[:6], labels=list("nynyny"), classes="ny")
    page = visit(live.page("heartbeat", {"model": early, **beats}))
    for i in range(6):
        page.get_by_role("combobox", name="beat").select_option(str(i))
        _, p, _, spoken = heart(page)
        np.testing.assert_allclose(
            p, early._probabilities(early.model_, X[i : i + 1])[0, :, 1], atol=1e-5
        )
        assert spoken == 2 * decided[i] or spoken is None and decided[i] == 16
        assert (
            f": {'ny'[label[i]]}. " in page.locator(".aaren-words").inner_text() or spoken is None
        )
    page.locator("input").and_(page.get_by_role("slider", name="beats in the rec")).press(
        "ArrowRight"
    )
    _, one, _, _ = heart(page)
    tokens = early.tokens(np.concatenate([X[5], X[0]])[None])[0].astype("float64")
    tokens[:, -1] = np.arange(1, 33) / 16  # its clock goes on
    stream = Stream(live._document(early))
    np.testing.assert_allclose(one, stream.run(tokens)[:, -1], atol=1e-6)
    page.get_by_role("button", name="Begin anew").click()
    _, anew, _, _ = heart(page)
    apart = early._probabilities(early.model_, X[[5, 0]])[:, :, 1].ravel()
    np.testing.assert_allclose(anew, apart, atol=1e-5)


def rule(p, threshold, hold=1):
    """Where the rule speaks, in samples, read off every stretch of `hold` answers."""
    for end in range(hold, len(p) + 1):
        last = p[end - hold : end]
        if last.min() >= threshold or last.max() <= 1 - threshold:
            return 2 * end


@pytest.mark.parametrize("hold", [1, 4])
def test_the_rule_speaks_where_python_says(visit, hold):
    page = visit(live.page("heartbeat", HEART | {"hold": hold}))
    limit = page.locator("input").and_(page.get_by_role("slider", name="the rule speaks at"))
    seen = set()
    for choice in range(4):
        page.get_by_role("combobox", name="beat").select_option(str(choice))
        for percent in (50, 75, 90, 99):
            limit.fill(str(percent))
            _, p, _, spoken = heart(page)
            assert spoken == rule(p, percent / 100, hold)
            words = page.locator(".aaren-words").inner_text()
            assert ("never speaks" in words) == (spoken is None)
            assert spoken is None or f"speaks after sample {spoken}: " in words
            seen.add(spoken)
        assert f"label of your beat is {HEART['labels'][choice]}" in words
    assert len(seen) > 3


def test_a_piece_is_bent_by_key_mouse_and_touch_and_the_past_stays(visit):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    page = visit(live.page("heartbeat", HEART), **phone)
    grip, (before, p, _, _) = page.get_by_role("slider", name="piece of the beat"), heart(page)
    grip.press("End")
    for _ in range(11):
        grip.press("ArrowLeft")
    assert grip.get_attribute("aria-valuetext").endswith("sample 21 of 32")
    grip.press("PageUp")
    after, q, _, _ = heart(page)
    bump = np.exp(-((np.arange(32) - 20.0) ** 2) / 32)
    np.testing.assert_allclose(after - before, bump, atol=1e-12)
    small = np.abs(q - p)[:3].max()  # a bump has tails
    assert small < 1e-2 and np.abs(q - p)[9:].max() > 3 * small
    page.get_by_role("button", name="Undo").click()
    np.testing.assert_array_equal(heart(page)[0], before)
    paper = page.locator(".aaren-paper")
    paper.scroll_into_view_if_needed()
    box = paper.bounding_box()
    x, y = box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 20, steps=3)
    page.mouse.up()
    page.mouse.move(x, y - 60)
    moved = heart(page)[0] - before
    assert np.abs(moved).argmax() in (15, 16) and 0.9 < moved.max() < 1.2
    touch = page.context.new_cdp_session(page)
    for kind, points in [
        ("touchStart", [{"x": x, "y": y}]),
        ("touchMove", [{"x": x, "y": y + 30}]),
        ("touchMove", [{"x": x, "y": y + 40}]),
        ("touchEnd", []),
    ]:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert (heart(page)[0] - before).min() < -0.2
    here = page.get_by_role("slider", name="read up to here")
    here.scroll_into_view_if_needed()
    box = here.locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 150, y, steps=3)
    page.mouse.up()
    assert 10 < float(here.get_attribute("aria-valuenow")) < 24


def test_the_picture_of_the_heartbeat_tells_what_the_page_tells(visit):
    html = live.page("heartbeat", HEART)
    _, p, _, spoken = heart(visit(html))
    assert f"is {p[-1]:.2g}; the rule at 0.75 speaks after sample {spoken}:" in html
    assert f" Its label is {HEART['labels'][0]}." in html


# -- in other front ends ------------------------------------------------------------------------------------

# VS Code: one page for all outputs, its policy, its colours as variables and as a class of the body
VSCODE = """<html lang="en" style="--vscode-editor-background: {ground}; --vscode-editor-foreground: {ink};
--vscode-textPreformat-foreground: #f00; background: {ground}"><head><meta charset="utf-8"><title>Outputs</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval';
style-src 'unsafe-inline'; img-src https: http: data:; font-src https:; connect-src https:; child-src https: data:">
<style>@layer vscode-default {{ body {{ color: var(--vscode-editor-foreground); margin: 0; padding: 0 20px }}
code {{ color: var(--vscode-textPreformat-foreground) }} }} table, th, tr {{ text-align: right }}
thead {{ font-weight: bold }} th, td {{ padding: 4px 8px }} </style></head>
<body class="vscode-{theme}"><div class="output_container">{output}</div></body></html>"""
# Colab: a frame for each output, with no origin here, and the theme as an attribute
COLAB = """<html lang="en" theme="{theme}"><head><meta charset="utf-8"><title>Output</title>
<style>body {{ margin: 0; color: {ink}; background: {ground} }}</style></head><body>{output}</body></html>"""


@pytest.mark.parametrize("host", [VSCODE, COLAB], ids=["vscode", "colab"])
@pytest.mark.parametrize(
    "theme, ink, ground", [("light", "#3b3b3b", "#fff"), ("dark", "#ccc", "#1f1f1f")]
)
def test_components_work_and_can_be_read_in_the_pages_of_others(
    chromium, tmp_path, host, theme, ink, ground
):
    from axe_playwright_python.sync_playwright import Axe

    outputs = [live.page(name, options) for name, options in EVERY.items()]
    for file, kind in [("06-making-it-fast", "explore"), ("06-making-it-fast", "predict")]:
        text = (CHAPTERS / f"{file}.ipynb").read_text("utf-8")
        cells = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", [])]
        htmls = ["".join(output.get("data", {}).get("text/html", "")) for output in cells]
        outputs.append(next(html for html in htmls if f'class="aaren-{kind}"' in html))
    pages = ["".join(outputs)] if host is VSCODE else outputs
    frames = "".join(
        '<iframe title="output" width="760" height="1200" sandbox="allow-scripts" srcdoc="'
        + escape(host.format(theme=theme, ink=ink, ground=ground, output=output))
        + '"></iframe>'
        for output in pages
    )
    (tmp_path / "host.html").write_text(f"<!doctype html><meta charset=utf-8>{frames}", "utf-8")
    context = chromium.new_context(offline=True)
    page, errors = context.new_page(), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "host.html").as_uri())
    seen = 0
    for frame in page.frames[1:]:
        frame.frame_element().scroll_into_view_if_needed()
        for root in frame.locator(".aaren-live, .aaren-explore").all():
            root.locator("svg, img, .aaren-card, .aaren-editor").first.wait_for()
            dark = root.evaluate("node => node.classList.contains('aaren-dark')")
            assert dark == (theme == "dark")
            control = root.locator("input[type=range]:visible").first
            if control.count():
                control.press("Home")
                before = root.evaluate("node => node.innerHTML")
                control.press("ArrowRight")
                assert root.evaluate("node => node.innerHTML") != before
            seen += 1
        puzzle = frame.locator("[data-component=puzzle]")
        if puzzle.count():
            puzzle.get_by_role("button", name="Check").click()
            puzzle.get_by_text("merge: not yet").wait_for()
        for question in frame.locator(".aaren-predict").all():
            question.get_by_role("button").first.click()
            assert question.get_by_role("status").text_content()
            seen += 1
        found = Axe().run(frame, None, {"runOnly": ["color-contrast"], "preload": False}).response
        assert [rule["nodes"][0]["html"][:200] for rule in found["violations"]] == []
    context.close()
    assert seen == len(outputs) and errors == []


def moves(page):
    """A press moves the component's slider by one, and its numbers follow."""
    read = page.locator(".aaren-live input").and_(page.get_by_role("slider", name="tokens read"))
    before = int(read.input_value())
    read.press("ArrowLeft")
    assert read.input_value() == str(before - 1)
    page.locator(".aaren-words", has_text=f"Token {before - 1} ").first.wait_for()


def test_nbconvert_keeps_the_controls_of_a_chapter(chromium, tmp_path):
    from nbconvert import HTMLExporter

    text, _ = HTMLExporter().from_filename(str(CHAPTERS / "01-start-here.ipynb"))
    file = tmp_path / "chapter.html"
    file.write_text(text, encoding="utf-8")
    context = chromium.new_context(offline=True)  # its mathematics comes from the network
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri(), wait_until="domcontentloaded")
    moves(page)
    question = page.locator(".aaren-predict").first
    question.get_by_role("button").first.click()
    question.get_by_text("comes out when").or_(question.get_by_text("Right")).first.wait_for()
    context.close()
    assert errors == []


# the first component and the first figure of the chapter that is opened in JupyterLab
LIVE, EXPLORE = ".aaren-live >> nth=0", ".aaren-explore >> nth=0"


@pytest.fixture
def lab(chromium, tmp_path):
    """Opens a chapter with its stored outputs in JupyterLab: the reader's own, or one that came from others.

    It shows a live component and a figure of `explore`.
    """
    import nbformat
    from nbformat.sign import NotebookNotary

    chapter = tmp_path / "chapter.ipynb"
    shutil.copy(CHAPTERS / "06-making-it-fast.ipynb", chapter)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = [f"root_dir={tmp_path}", f"port={port}", "open_browser=False", "allow_root=True"]
    settings += ["token=", "password=", "disable_check_xsrf=True"]
    command = [sys.executable, "-m", "jupyterlab", "--expose-app-in-browser"]
    command += [f"--ServerApp.{x}" for x in settings]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = os.environ | {name: str(tmp_path / name.lower()) for name in places}
    os.mkdir(env["JUPYTER_DATA_DIR"])
    wishes = Path(env["JUPYTER_CONFIG_DIR"], "lab/user-settings/@jupyterlab/notebook-extension")
    wishes.mkdir(parents=True)
    # every cell is on the page, also those that are out of sight
    (wishes / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    url = f"http://127.0.0.1:{port}"
    size = {"width": 1100, "height": 1000}
    context = chromium.new_context(viewport=size, reduced_motion="reduce")

    def open_chapter(trusted):
        if trusted:
            notary = NotebookNotary(data_dir=env["JUPYTER_DATA_DIR"])
            notary.sign(nbformat.read(chapter, as_version=4))
        for _ in range(240):
            try:
                urllib.request.urlopen(url + "/api", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(url + "/lab/tree/chapter.ipynb?reset")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        return page

    with (
        open(tmp_path / "log", "w") as log,
        subprocess.Popen(command, env=env, stdout=log, stderr=log) as server,
    ):
        yield open_chapter
        context.close()
        server.terminate()


def answers(page, kind):
    """A click and a press move the figure's first slider; its picture follows, and the notebook does not."""
    figure = page.locator(kind)
    slider = figure.locator("input[type=range]").first
    slider.click(position={"x": 4, "y": 10})
    assert slider.input_value() == slider.get_attribute("min")
    chosen = page.locator(".jp-Cell.jp-mod-active")
    assert chosen.locator(figure).count() == 1
    pictures = []
    for key in ("Home", "ArrowRight", "ArrowDown"):
        slider.press(key)
        pictures.append(figure.evaluate("e => e.querySelector('img, svg').outerHTML"))
    assert pictures[0] == pictures[2] != pictures[1]
    assert chosen.count() == chosen.locator(figure).count() == 1


@pytest.mark.slow
def test_in_jupyterlab_figures_work_from_the_stored_output_and_keep_their_keys(lab, tmp_path):
    before = (tmp_path / "chapter.ipynb").read_text("utf-8").count('"cell_type"')
    page = lab(trusted=True)
    answers(page, LIVE)
    answers(page, EXPLORE)
    (kernel,) = page.evaluate("fetch('/api/kernels').then((answer) => answer.json())")
    page.evaluate(f"fetch('/api/kernels/{kernel['id']}/restart', {{method: 'POST'}})")
    page.wait_for_timeout(2_000)
    answers(page, LIVE)
    answers(page, EXPLORE)
    page.evaluate(f"fetch('/api/kernels/{kernel['id']}', {{method: 'DELETE'}})")
    page.reload()
    answers(page, LIVE)
    answers(page, EXPLORE)
    for kind in (LIVE, EXPLORE):
        figure = page.locator(kind)
        for control in ("button", "select", "input[type=range]", ".aaren-item"):
            if not figure.locator(control).count():
                continue
            figure.locator(control).first.focus()
            for key in ("b", "a", "x", "d", "d", "m", "ArrowDown", "Enter"):
                page.keyboard.press(key)
        assert page.locator(".jp-Cell.jp-mod-active").locator(figure).count() == 1
    page.locator(".jp-Cell.jp-mod-active .cm-content").click()  # where keys are the notebook's
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")
    assert (tmp_path / "chapter.ipynb").read_text("utf-8").count('"cell_type"') == before


@pytest.mark.slow
def test_in_jupyterlab_a_puzzle_s_editor_keeps_its_keys(lab, tmp_path):
    before = (tmp_path / "chapter.ipynb").read_text("utf-8").count('"cell_type"')
    page = lab(trusted=True)
    root = page.locator(".aaren-live[data-component=puzzle]")
    field, code = root.locator("textarea"), "const blocked = () => {\n  nobody\n}"
    field.click()
    page.keyboard.press("Control+a")
    page.keyboard.type("const blocked = () => {\nnobody\n}")
    page.keyboard.press("Control+Enter")
    root.locator(".aaren-verdict", has_text="ReferenceError: nobody is not defined").wait_for()
    for key in ("Escape", "d", "d", "b", "x", "Shift+Enter"):
        page.keyboard.press(key)
    assert field.input_value() == code + "ddbx\n"  # the cell has not run, nor another been chosen
    assert page.locator(".jp-Cell.jp-mod-active").locator(root).count() == 1
    page.locator(".jp-Cell.jp-mod-active .cm-content").click()
    page.keyboard.press("Control+s")
    page.locator(".jp-mod-dirty").wait_for(state="detached")
    assert (tmp_path / "chapter.ipynb").read_text("utf-8").count('"cell_type"') == before


@pytest.mark.slow
def test_in_jupyterlab_a_notebook_of_others_shows_the_picture_and_how_to_wake_it(lab):
    page = lab(trusted=False)
    for kind in (LIVE, EXPLORE):
        figure = page.locator(kind)
        figure.get_by_text("trust this notebook").wait_for()
        picture = figure.locator("img")
        assert picture.evaluate("(node) => node.naturalWidth") > 200 and picture.is_visible()
        assert figure.locator("input, button").count() == 0
    # the command that the line names; not from the palette, which closes when anything else takes the focus
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:trust')")
    page.locator(".jp-Dialog-button.jp-mod-accept, .jp-Dialog button.jp-mod-warn").first.click()
    for kind in (LIVE, EXPLORE):
        answers(page, kind)
        assert page.locator(kind).get_by_text("trust this notebook").count() == 0
