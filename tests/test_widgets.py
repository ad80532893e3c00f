"""`explore`: its controls with a kernel, on a page without one, and its complaints."""

import base64
import functools
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from aaren._book import explore as widgets
from aaren.widgets import explore, interact

VIEW = "application/vnd.jupyter.widget-view+json"
TEMPERATURES, SCORES = [0.25, 0.5, 1, 2], ["near", "far", "flat"]


def weights(temperature, scores):
    """Weights of {scores} scores at temperature {temperature}."""
    values = {"near": [1, 1.2, 0.9], "far": [1, 4, 2], "flat": [1, 1, 1]}[scores]
    values = np.exp(np.array(values) / temperature)
    figure, axes = plt.subplots(figsize=(4, 2))
    axes.bar(["a", "b", "c"], values / values.sum())
    return figure


def steps(step):
    """State after step {step}."""
    figure, axes = plt.subplots(figsize=(6.4, 3))
    axes.plot(range(step + 1), marker="o")
    return figure


def rounds(turn=1, kind="b"):
    """Turn {turn} of {kind}."""
    return steps(turn + (kind == "b"))


def blank(**_):
    return plt.figure(figsize=(1, 1))


@pytest.fixture(autouse=True)
def no_figure_is_left_open():
    plt.close("all")
    yield
    assert plt.get_fignums() == []


@pytest.fixture
def shown(monkeypatch):
    """The bundles that `explore` displays."""
    bundles = []
    monkeypatch.setattr(widgets, "_display", bundles.append)
    return bundles


def data_of(page, name):
    found = re.search(rf'<script type="application/json" class="aaren-{name}">(.*?)</script>', page)
    return json.loads(found[1])


# What is displayed ---------------------------------------------------------------------------


@pytest.mark.slow
def test_one_bundle_holds_the_page_the_picture_and_the_text(shown):
    assert explore(weights, temperature=TEMPERATURES, scores=SCORES) is None
    (bundle,) = shown
    assert set(bundle) == {"text/plain", "image/png", "text/html"}  # no kernel, no widget view
    assert bundle["text/plain"] == (
        "explore(weights, temperature=[0.25, 0.5, 1, 2], scores=['near', 'far', 'flat'])"
    )
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert (picture.format, picture.mode) == ("PNG", "P")
    assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    width, height = picture.size
    assert (
        f'<img src="data:image/png;base64,{bundle["image/png"]}" '
        f'alt="Weights of near scores at temperature 0.25." width="{width}" height="{height}"'
    ) in bundle["text/html"]
    assert not re.search(r'https?://|url\(|@import| id="', bundle["text/html"])


def test_every_combination_is_drawn_once(shown):
    calls = []

    def draw(**values):
        calls.append(values)
        return blank()

    explore(draw, a=[1, 2], b=["x", "y", "z"])
    assert calls == [{"a": a, "b": b} for a in (1, 2) for b in "xyz"]


def test_a_figure_that_draw_uses_again_is_closed_too(shown):
    figure, axes = plt.subplots(figsize=(1, 1))

    def draw(k):
        axes.clear()
        axes.plot([0, k])
        return figure

    explore(draw, k=[1, 2])  # the fixture above asserts that no figure is left
    assert len(shown) == 1


@pytest.mark.slow
def test_two_runs_give_the_same_bundle(shown):
    for _ in range(2):
        explore(weights, temperature=TEMPERATURES, scores=SCORES)
    assert shown[0] == shown[1]


def test_equal_pictures_are_stored_once(shown):
    explore(lambda a, b: steps(b), a=[1, 2, 3], b=range(2))
    pictures = data_of(shown[0]["text/html"], "pictures")
    assert pictures["order"] == [0, 1] * 3
    assert pictures["files"][0] is None  # the image element holds it
    assert len(pictures["files"]) == 2


def test_the_defaults_of_draw_are_the_picture_and_the_place_of_the_controls(shown):
    flat = functools.partial(weights, scores="flat", temperature=1)
    explore(flat, temperature=TEMPERATURES, scores=SCORES)
    explore(weights, temperature=TEMPERATURES, scores=SCORES)
    started, plain = shown
    spec, pictures = (data_of(started["text/html"], name) for name in ("spec", "pictures"))
    assert [control["start"] for control in spec["controls"]] == [2, 2]
    place = 2 * len(SCORES) + 2
    assert spec["alts"][place] == "Weights of flat scores at temperature 1."
    assert f'alt="{spec["alts"][place]}"' in started["text/html"]
    assert (pictures["order"][place], pictures["files"][0]) == (0, None)
    other = data_of(plain["text/html"], "pictures")
    assert started["image/png"] == other["files"][other["order"][place]]
    assert pictures["files"][pictures["order"][0]] == plain["image/png"]
    assert started["text/plain"] == plain["text/plain"]


def test_a_default_counts_for_controls_only_and_one_without_starts_at_its_first_value(shown):
    def draw(a, k=3, width=1):
        return plt.figure(figsize=(width, 1))

    explore(draw, k=range(1, 5), a=["x", "y"])
    spec = data_of(shown[0]["text/html"], "spec")
    assert [(c["label"], c["start"]) for c in spec["controls"]] == [("k", 2), ("a", 0)]


@pytest.mark.parametrize("default", [4, None, "1", [1]], ids=str)
def test_a_default_that_is_not_tried_is_named(shown, default):
    def draw(k=default):
        pytest.fail("it drew")

    message = r"the default of k must be one of .*; got draw\(k=.*\) for k=\[1, 2, 3\]. Add it"
    with pytest.raises(ValueError, match=message):
        explore(draw, k=[1, 2, 3])
    assert shown == []


def test_pictures_are_a_third_of_the_plain_png_and_look_the_same(shown):
    explore(steps, step=range(2))
    small = base64.b64decode(shown[0]["image/png"])
    figure, plain = steps(0), io.BytesIO()
    figure.savefig(plain)
    plt.close(figure)
    a, b = (np.asarray(Image.open(p).convert("RGB"), int) for p in (io.BytesIO(small), plain))
    assert len(small) < 0.4 * len(plain.getvalue())
    assert abs(a - b).max() < 24 and abs(a - b).mean() < 1


def test_transparent_figures_become_opaque(shown):
    explore(lambda k: plt.figure(figsize=(1, 1), facecolor="none"), k=[1, 2])
    picture = Image.open(io.BytesIO(base64.b64decode(shown[0]["image/png"])))
    assert picture.convert("RGBA").getpixel((5, 5)) == (255, 255, 255, 255)


def test_frames_keep_their_size_whatever_the_style(shown):
    with plt.rc_context({"savefig.bbox": "tight"}):
        explore(steps, step=range(2))
    assert 'width="640"' in shown[0]["text/html"]


@pytest.mark.parametrize(
    "values, kind, texts",
    [
        ([0, 0.1, 0.5], "slider", ["0", "0.1", "0.5"]),
        ((1, 10, 100), "slider", ["1", "10", "100"]),
        (np.linspace(0, 1, 4), "slider", ["0", "0.333333", "0.666667", "1"]),
        ([np.float32(0.5), np.int64(2)], "slider", ["0.5", "2"]),
        ([1e-9, 1 + 1e-9, 1 + 2e-9], "slider", ["1e-09", "1.000000001", "1.000000002"]),
        (["b", "a"], "choice", ["b", "a"]),
        (range(0, 6, 2), "steps", ["0", "2", "4"]),
    ],
    ids=str,
)
def test_the_kind_of_control_follows_its_values(shown, values, kind, texts):
    explore(blank, dropout_rate=values)
    assert data_of(shown[0]["text/html"], "spec")["controls"] == [
        {"label": "dropout rate", "kind": kind, "texts": texts, "start": 0}
    ]


# Alternative text ----------------------------------------------------------------------------


def formatted(rate):
    """Density at {rate:.2f}.

    More words with {braces}.
    """
    return blank()


def partly(rate):
    """Density."""
    return blank()


def braces(rate):
    """The set {{1, 2}} at {rate}."""
    return blank()


def _plain_name(rate):
    return blank()


@pytest.mark.parametrize(
    "draw, alts",
    [
        (formatted, ["Density at 0.10.", "Density at 0.50."]),
        (partly, ["Density. (rate = 0.1)", "Density. (rate = 0.5)"]),
        (braces, ["The set {1, 2} at 0.1.", "The set {1, 2} at 0.5."]),
        (_plain_name, ["plain name (rate = 0.1)", "plain name (rate = 0.5)"]),
        (lambda rate: blank(), ["figure (rate = 0.1)", "figure (rate = 0.5)"]),
        (lambda rate: (blank(), f"own {rate}"), ["own 0.1", "own 0.5"]),
        (functools.partial(formatted), ["Density at 0.10.", "Density at 0.50."]),
    ],
    ids=["format", "part", "braces", "none", "lambda", "returned", "partial"],
)
def test_alternative_text_names_the_controls(shown, draw, alts):
    explore(draw, rate=[0.1, 0.5])
    assert data_of(shown[0]["text/html"], "spec")["alts"] == alts


# Bad input -----------------------------------------------------------------------------------


def bad_docstring(k):
    """Weights at {temperature}."""
    return blank()


@pytest.mark.parametrize(
    "draw, controls, message",
    [
        (blank, {}, r"must have a control; got none\. Write explore\(blank"),
        (blank, {"k": []}, r"k must have two values or more; got k=\[\]"),
        (blank, {"k": [3]}, r"k must have two values or more; got k=\[3\]"),
        (blank, {"k": range(1)}, "k must have two values or more"),
        (blank, {"k": 3}, r"k must be a list of values.*got k=3.*k=\[1, 2, 4\]"),
        (blank, {"k": "abc"}, "k must be a list of values"),
        (blank, {"k": {1, 2}}, "k must be a list of values"),
        (blank, {"k": np.float64(3)}, "k must be a list of values"),
        (blank, {"k": [1, 1.0]}, r"k must hold each value once; got k=\[1, 1.0\]"),
        (blank, {"k": ["a", "b", "a"]}, "k must hold each value once"),
        (blank, {"k": [3, 1, 2]}, r"k must hold increasing numbers.*Write k=\[1, 2, 3\]"),
        (blank, {"k": range(3, 0, -1)}, r"k must hold increasing.*Write k=\[1, 2, 3\]"),
        (blank, {"k": [1, "a"]}, "k must hold numbers only, or strings"),
        (blank, {"k": ["a", " "]}, "k must hold numbers only, or strings with a text each"),
        (blank, {"k": [False, True]}, r'k must hold numbers.*\["off", "on"\]'),
        (blank, {"k": [1, None]}, "k must hold numbers"),
        (blank, {"k": [[1], [2]]}, "k must hold numbers"),
        (blank, {"k": [1 + 2j, 3]}, "k must hold numbers"),
        (blank, {"k": [1, float("nan")]}, "k must hold finite numbers"),
        (blank, {"k": [1, float("inf")]}, "k must hold finite numbers"),
        (steps, {"stepp": [1, 2]}, r"steps must take the controls.*got stepp for steps\(step\)"),
        (weights, {"scores": SCORES}, "missing a required argument: 'temperature'"),
        ("weights", {"k": [1, 2]}, "draw must be a function.*got 'weights'"),
        (bad_docstring, {"k": [1, 2]}, r"docstring must be.*KeyError.*Controls are k"),
        (lambda k: None, {"k": [1, 2]}, r"must return a matplotlib Figure; got NoneType at k=1"),
        (lambda k: blank().gca(), {"k": [1, 2]}, "must return a matplotlib Figure; got Axes at"),
        (
            lambda k: plt.subplots(),
            {"k": [1, 2]},
            "must return a text beside its figure; got <Axes",
        ),
        (lambda k: (blank(), ""), {"k": [1, 2]}, "must return a text beside its figure; got ''"),
        (lambda k: blank() if k < 2 else 1, {"k": [1, 2]}, "got int at k=2"),
    ],
)
def test_bad_input_is_named(shown, draw, controls, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        explore(draw, **controls)
    assert shown == []


def test_too_many_frames_are_counted_before_drawing(shown):
    with pytest.raises(ValueError, match=r"at most 120.*got 121 \(11 a × 11 b\).*fewer values"):
        explore(lambda a, b: pytest.fail("it drew"), a=range(11), b=range(11))


def test_a_heavy_page_is_refused(shown, monkeypatch):
    monkeypatch.setattr(widgets, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match=r"the 4 frames must fit into 0\.01 MB.*got 0\.\d\d MB"):
        explore(steps, step=range(4))
    assert shown == []


def test_a_failing_draw_names_its_combination(shown):
    def draw(a, b):
        plt.figure()
        return 1 / (b - 2) and blank()

    with pytest.raises(RuntimeError, match=r"draw must .* at a=1, b=2 it failed with ZeroDiv") as e:
        explore(draw, a=[1, 2], b=[1, 2])
    assert isinstance(e.value.__cause__, ZeroDivisionError)


def test_a_figure_that_cannot_be_rendered_names_its_combination(shown):
    def draw(k):
        figure = blank()
        figure.suptitle("$\\nonsense$" if k == 2 else "")
        return figure

    with pytest.raises(RuntimeError, match="at k=2 it failed with ValueError"):
        explore(draw, k=[1, 2])


@pytest.mark.parametrize("module", ["matplotlib", "IPython"])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, module):
    # the submodule is what the import statement asks for
    monkeypatch.setitem(sys.modules, {"matplotlib": "matplotlib.pyplot"}.get(module, module), None)
    with pytest.raises(ImportError, match=rf'{module}, which is missing: pip install "aaren\[wid'):
        explore(blank, k=[1, 2])


def test_a_kernel_changes_nothing_and_ipywidgets_are_not_asked_for(shown, monkeypatch, kernel):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    explore(blank, k=[1, 2])
    assert set(shown[0]) == {"text/plain", "image/png", "text/html"}


def test_interact_without_ipywidgets_shows_the_picture(shown, monkeypatch, kernel):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    interact(steps, step=range(3))
    assert set(shown[0]) == {"text/plain", "image/png"}


@pytest.mark.parametrize("value, live", [("1", False), ("0", True), ("", True)])
def test_notebooks_that_are_run_to_be_stored_hold_no_ipywidgets(
    shown, monkeypatch, kernel, value, live
):
    monkeypatch.setenv("AAREN_STATIC", value)
    interact(blank, k=[1, 2])
    assert (VIEW in shown[0]) is live


def test_interact_draws_one_frame_and_takes_many_values(shown, kernel):
    calls = []

    def draw(k=7):
        calls.append(k)
        return blank()

    interact(draw, k=range(1000))
    assert calls == [7]
    assert shown[0]["text/plain"] == "interact(draw, k=range(0, 1000))"


def test_in_a_terminal_it_prints_a_line(capsys):
    explore(steps, step=range(3))
    assert capsys.readouterr().out == "explore(steps, step=range(0, 3))\n"


def test_loading_the_module_loads_no_optional_library():
    code = (
        "import importlib.util as u, sys; before = set(sys.modules);"
        f"s = u.spec_from_file_location('w', {widgets.__file__!r}); m = u.module_from_spec(s);"
        "s.loader.exec_module(m); print(sorted(x for x in set(sys.modules) - before if x in "
        "('matplotlib', 'ipywidgets', 'IPython', 'PIL', 'numpy')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# With a kernel -------------------------------------------------------------------------------


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.delenv("AAREN_STATIC", raising=False)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))


@pytest.fixture
def live(kernel, shown, monkeypatch):
    """The ipywidgets that `interact` makes, its picture last."""

    def make(draw, **controls):
        made, original = [], widgets._live
        monkeypatch.setattr(widgets, "_live", lambda *a: made.append(original(*a)) or made[-1])
        interact(draw, **controls)
        (box,) = made
        assert shown[-1][VIEW] == {
            "version_major": 2,
            "version_minor": 0,
            "model_id": box.model_id,
        }
        return box.children

    return make


def test_live_controls_draw_again(live):
    calls = []

    @functools.wraps(weights)
    def draw(temperature, scores):
        calls.append((temperature, scores))
        return weights(temperature, scores)

    slider, choice, picture = live(draw, temperature=TEMPERATURES, scores=SCORES)
    assert (slider.description, choice.description) == ("temperature", "scores")
    assert 'alt="Weights of near scores at temperature 0.25."' in picture.value
    del calls[:]
    seen = {picture.value}
    slider.index = 2
    assert 'alt="Weights of near scores at temperature 1."' in picture.value
    seen.add(picture.value)
    choice.index = 1
    assert 'alt="Weights of far scores at temperature 1."' in picture.value
    assert calls == [(1, "near"), (1, "far")]
    assert len(seen | {picture.value}) == 3


def test_live_picture_equals_the_one_on_the_page(live, shown):
    slider, _, picture = live(weights, temperature=TEMPERATURES, scores=SCORES)
    slider.index = 3
    explore(weights, temperature=TEMPERATURES, scores=SCORES)
    pictures = data_of(shown[1]["text/html"], "pictures")
    assert pictures["files"][pictures["order"][3 * 3]] in picture.value


def test_live_steps_play(live):
    row, picture = live(steps, step=range(2, 8))
    slider, play = row.children
    assert (play.min, play.max, slider.value) == (0, 5, 2)
    play.value = 3
    assert slider.value == 5
    assert 'alt="State after step 5."' in picture.value
    slider.index = 1
    assert play.value == 1


def test_live_controls_begin_at_the_defaults(live):
    def draw(turn=4, kind="b"):
        """Turn {turn} of {kind}."""
        return rounds(turn, kind)

    row, choice, picture = live(draw, turn=range(2, 8), kind=["a", "b"])
    slider, play = row.children
    assert (slider.value, play.value, choice.value) == (4, 2, "b")
    assert 'alt="Turn 4 of b."' in picture.value
    play.value = 3
    assert 'alt="Turn 5 of b."' in picture.value


def test_live_errors_are_shown_and_pass(live):
    broken = []

    def draw(k):
        if broken:
            raise KeyError("<gone>")
        return blank(), f"at {k}"

    slider, picture = live(draw, k=[1, 2, 3])
    broken.append(True)
    slider.index = 1
    assert 'role="alert"' in picture.value
    assert "at k=2 it failed with KeyError: &#x27;&lt;gone&gt;&#x27;" in picture.value
    broken.clear()
    slider.index = 2
    assert 'alt="at 3"' in picture.value


@pytest.mark.slow
def test_in_a_real_kernel_explore_shows_its_page_and_interact_its_controls(monkeypatch):
    monkeypatch.delenv("AAREN_STATIC", raising=False)
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    source = Path(__file__).read_text(encoding="utf-8")
    draw = source[source.index("def weights") : source.index("def steps")]
    setup = f"""
from importlib.util import module_from_spec, spec_from_file_location
widgets = module_from_spec(spec_from_file_location("widgets", {widgets.__file__!r}))
widgets.__spec__.loader.exec_module(widgets)
"""
    imports = "import numpy as np\nimport matplotlib.pyplot as plt\n"
    call = f"""
made, live = [], widgets._live
widgets._live = lambda *a: made.append(live(*a)) or made[0]
widgets.explore(weights, temperature={TEMPERATURES}, scores={SCORES})
widgets.interact(weights, temperature={TEMPERATURES}, scores={SCORES})
"""
    move = """
slider, choice, picture = made[0].children
slider.index = 3
print("temperature 2" in picture.value, plt.get_fignums())
"""
    cells = [setup, imports + draw, call, move]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    (output, asked), moved = (cell.outputs for cell in notebook.cells[2:])
    assert output.output_type == asked.output_type == "display_data"
    assert set(output.data) == {"text/plain", "image/png", "text/html"}
    assert set(asked.data) == {"text/plain", "image/png", VIEW}
    assert moved[0].text == "True []\n"
    here = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(widgets, "_display", here.append)
        explore(weights, temperature=TEMPERATURES, scores=SCORES)
    assert output.data["text/html"] == here[0]["text/html"]  # another process, the same bytes


def test_nbval_compares_texts_and_not_pixels(shown):
    nbval = pytest.importorskip("nbval.plugin")
    settings = Path(__file__).with_name("nbval-sanitize.cfg").read_text(encoding="utf-8")

    def compared(page):
        for pattern, replacement in nbval.get_sanitize_patterns(settings):
            page = re.sub(pattern, replacement, page)
        return page

    def other(k):
        figure = blank()
        figure.suptitle(k)
        return figure

    other.__name__ = "blank"
    explore(blank, k=[1, 2])
    explore(other, k=[1, 2])
    explore(blank, k=[1, 3])
    same, pixels, values = (bundle["text/html"] for bundle in shown)
    assert same != pixels
    assert compared(same) == compared(pixels)
    assert compared(same) != compared(values)
    assert len(compared(same)) < 9_000


# On a page, in a browser ---------------------------------------------------------------------


def hostile(choice_of_text):
    """</script><b title="x">{choice_of_text}</b>."""
    return steps({'"quoted" & <i>': 1, "</script>": 2, "a long text " * 8: 3}[choice_of_text])


@pytest.fixture(scope="module")
def book():
    """A page with four widgets; the pictures and texts that they must show."""
    bundles, frames, page = [], [], widgets._page
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(widgets, "_display", bundles.append)
        patch.setattr(widgets, "_page", lambda c, f, s: frames.append(f) or page(c, f, s))
        explore(weights, temperature=TEMPERATURES, scores=SCORES)
        explore(steps, step=range(3))
        explore(hostile, choice_of_text=['"quoted" & <i>', "</script>", "a long text " * 8])
        explore(rounds, turn=range(3), kind=["a", "b"])
    return SimpleNamespace(outputs=[bundle["text/html"] for bundle in bundles], frames=frames)


@pytest.fixture
def visit(visit, book):
    return functools.partial(visit, *book.outputs)


def showing(page, number):
    image = page.locator(".aaren-explore").nth(number).get_by_role("img")
    return image.get_attribute("src").split(",")[1], image.get_attribute("alt")


def expected(book, number, frame=0):
    return book.frames[number][frame].png, book.frames[number][frame].alt


def test_every_combination_can_be_reached_by_keyboard(visit, book):
    page = visit()
    slider, choice = page.get_by_role("slider", name="temperature"), page.get_by_role("combobox")
    seen = set()
    for i, j in itertools.product(range(4), range(3)):
        choice.first.focus()
        page.keyboard.press("Home")
        for _ in range(j):
            page.keyboard.press("ArrowDown")
        slider.focus()
        page.keyboard.press("Home")
        for _ in range(i):
            page.keyboard.press("ArrowRight")
        assert showing(page, 0) == expected(book, 0, 3 * i + j)
        assert slider.get_attribute("aria-valuetext") == f"{TEMPERATURES[i]:g}"
        value = page.locator(".aaren-explore").first.locator(".aaren-value")
        assert value.inner_text() == f"{TEMPERATURES[i]:g}"
        seen.add(showing(page, 0))
    assert len(seen) == 12
    assert [showing(page, n) for n in (1, 2)] == [expected(book, n) for n in (1, 2)]  # untouched


def test_text_is_text_whatever_it_holds(visit, book):
    page = visit()
    choice = page.get_by_role("combobox", name="choice of text")
    for i, text in enumerate(['"quoted" & <i>', "</script>", "a long text " * 8]):
        choice.select_option(str(i))
        assert showing(page, 2) == (book.frames[2][i].png, f'</script><b title="x">{text}</b>.')
    assert page.locator("i, b").count() == 0


def test_the_defaults_are_shown_and_move_from_there(visit, book):
    page = visit()
    widget = page.locator(".aaren-explore").nth(3)
    slider, choice = widget.get_by_role("slider"), widget.get_by_role("combobox")
    assert (slider.input_value(), choice.input_value()) == ("1", "1")
    assert slider.get_attribute("aria-valuetext") == "1"
    assert showing(page, 3) == expected(book, 3, 3)
    slider.press("ArrowRight")
    assert showing(page, 3) == expected(book, 3, 5)
    choice.select_option("a")
    assert showing(page, 3) == expected(book, 3, 4)
    slider.press("ArrowLeft")
    choice.select_option("b")
    assert showing(page, 3) == expected(book, 3, 3)  # the picture that the page came with


def test_play_runs_to_the_end_pauses_and_starts_again(visit, book):
    page = visit(clock=True)
    page.clock.run_for(5000)
    assert showing(page, 1) == expected(book, 1, 0)  # nothing moves by itself
    page.get_by_role("button", name="Play step").press("Enter")
    page.clock.run_for(750)
    assert showing(page, 1) == expected(book, 1, 1)
    page.get_by_role("button", name="Pause step").click()
    page.clock.run_for(5000)
    assert showing(page, 1) == expected(book, 1, 1)
    page.get_by_role("button", name="Play step").click()
    page.clock.run_for(750)
    assert showing(page, 1) == expected(book, 1, 2)
    assert page.get_by_role("slider", name="step").get_attribute("aria-valuetext") == "2"
    page.get_by_role("button", name="Play step").click()  # at the end: from the start
    assert showing(page, 1) == expected(book, 1, 0)
    page.get_by_role("slider", name="step").press("ArrowRight")  # moving it pauses
    page.clock.run_for(5000)
    assert showing(page, 1) == expected(book, 1, 1)
    assert page.get_by_role("button", name="Play step").is_visible()


def test_a_phone_shows_it_all_and_touch_moves_it(visit, book):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in page.locator("input, select, button").all():
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= 44
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    slider = page.get_by_role("slider", name="step")
    box = slider.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 22)
    assert showing(page, 1) == expected(book, 1, 1)


CONTRAST = """(node) => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  let ground = node, paint = [0, 0, 0, 0];
  while (ground && paint[3] === 0) {
    paint = rgb(getComputedStyle(ground).backgroundColor);
    ground = ground.parentElement;
  }
  if (paint[3] === 0) paint = [255, 255, 255];
  const [a, b] = [light(rgb(getComputedStyle(node).color)), light(paint)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_can_be_read(visit, theme):
    page = visit(theme=theme)
    nodes = page.locator(".aaren-explore :is(label, select, button, .aaren-value)").all()
    assert len(nodes) == 14
    assert min(node.evaluate(CONTRAST) for node in nodes) > 7
    # the theme's light card around an output is gone
    color = "(node) => getComputedStyle(node).color"
    assert nodes[0].evaluate(color) == page.locator("main").evaluate(color)


def test_the_focus_can_be_seen(visit):
    page = visit()
    for control in page.locator("input, select, button").all():
        page.keyboard.press("Tab")
        assert control.evaluate("(node) => node === document.activeElement")
        assert control.evaluate("(node) => parseFloat(getComputedStyle(node).outlineWidth)") >= 2


def test_scripts_run_a_second_time_change_nothing(visit, book):
    page = visit()
    page.get_by_role("slider", name="step").press("ArrowRight")
    page.evaluate(  # JupyterLab and VS Code put every script in anew
        """() => document.querySelectorAll("script").forEach((old) => {
          const script = document.createElement("script");
          for (const { name, value } of old.attributes) script.setAttribute(name, value);
          script.textContent = old.textContent;
          old.replaceWith(script);
        })"""
    )
    assert page.locator("input, select, button").count() == 8
    assert page.get_by_role("slider", name="step").input_value() == "1"
    assert showing(page, 1) == expected(book, 1, 1)


def test_where_scripts_are_cut_out_no_dead_control_is_left(visit, book):
    page = visit(java_script_enabled=False)
    assert page.locator("input, select, button").count() == 0
    wake = page.get_by_text("trust this notebook")
    assert wake.count() == len(book.frames) and wake.first.is_visible()
    assert visit().get_by_text("trust this notebook").count() == 0  # scripts take the line away
    image = page.get_by_role("img", name=expected(book, 0)[1])
    assert image.is_visible() and image.bounding_box()["height"] == book.frames[0][0].height


def mean_colour(page, number):
    """What the screen shows of a widget's picture: the mean of its pixels, 0 black, 255 white."""
    image = page.locator(".aaren-explore img").nth(number)
    image.scroll_into_view_if_needed()
    return np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("L")).mean()


def test_figures_turn_dark_with_the_page_and_light_again(visit):
    page = visit()
    assert mean_colour(page, 1) > 200
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_selector(".aaren-explore.aaren-dark")
    assert 18 <= mean_colour(page, 1) < 60  # no white card, and not blacker than the page, #121212
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_selector(".aaren-explore:not(.aaren-dark)")
    assert mean_colour(page, 1) > 200
