"""Components that compute in the reader's browser: no kernel, no network, one output.

An output is a picture, drawn here in Python, and a script that puts the component in its place. The script is the
engine (`aaren/engine.mjs`, only the functions that are called), what all components share (`parts/frame.js`) and
the component itself. A page that cuts out scripts keeps the picture.
"""

import html
import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from aaren._book.answers import ITEMS, PAIR, PUZZLES, TRIPLE, Join, Kept, Part, Piece, Triple
from aaren._book.explore import _display
from aaren.plots import COLORS
from aaren.stream import Stream, load

MAX_BYTES = 30_000  # of a component with the engine, beside its picture
PARTS = Path(__file__).with_name("parts")
ENGINE = Path(__file__).parent.parent / "engine.mjs"
WAKE = (
    "A still picture. Its controls wake where scripts may run: in Jupyter, trust this notebook "
    "(command palette: Trust Notebook) or run the cell."
)


class Component(NamedTuple):
    """What `live` needs of a component beside its script."""

    options: Callable[..., dict[str, Any]]  # checks what the call gives, adds what it leaves out
    picture: Callable[[Mapping[str, Any]], tuple[str, str]]  # (SVG, alternative text)
    label: str  # its name for a screen reader
    parts: tuple[str, ...] = ()  # files before its own; with them it calls nothing of the engine
    most: int = MAX_BYTES  # of HTML, in bytes
    lean: bool = False  # whether it takes of the frame only what it needs; the others have room for all of it


def live(component: str, /, **options: Any) -> None:
    """Show a component that computes on the page, in the reader's browser.

    Its HTML works on a published page, in JupyterLab, VS Code and Colab alike, with no kernel and no network.
    Where no script runs, the reader sees a picture of the same numbers; in a terminal, a line of text.

    Args:
        component: its name:

            * "cell": tokens to drag, and the recurrence (m, u, w) over them. `scores` and `values`: T numbers
              each; `read`: how many tokens are read at first; `cell`: "package", "zero" (m starts at 0), "naive"
              (no guard for −∞ − (−∞)) or "bare" (plain sums); `precision`: "float64" or "float32";
              `lines=False` leaves out table, equation and code; `score_range`, `value_range`: what can be dragged
              to, as (low, high); `todo`: the sentence above it.
            * "scan": who merges what, when. `items`: 2 to 16 numbers, strings (op="join") or pairs (score, value)
              (op="merge", "sums"); `op`: "+", "max", "join", "merge" (⊕, outputs are shown), "sums" (⊕, sums are
              shown) or "mean" (not associative); `form`: "sequential",
              "hillis", "blelloch", "blocks" (of `C`) or "tree" (the total only); `forms`: those to choose from;
              `direction`: "forward" or "backward"; `todo`.
            * "fade": ways of forgetting. Of `length` tokens with equal scores those from `jump` on have the value 1, the
              others 0; `values`: a second signal to choose, `length` numbers, and `called`: what it is; `kept`: percent
              of the past, 50 to 100; `fresh`: the token that begins anew; `window`: in tokens (0: none, for both);
              `read`: tokens read at first; `todo`.
            * "mask": dropout on one feature that is 1. The answer is that feature times a height a: a run gives 0, or
              a / (1 − rate). `rate`, `height`: in percent, 0 to 60 and 0 to 150; `runs`: 1 to 100; `seed`; `todo`.
            * "curves": curves through points that can be dragged. Each is a network with 50 fixed sine units of its own,
              whose output weights leave their start only as far as the points ask. `points`: 1 to 8 pairs (x, y), x
              from −5 to 5, y from −2.5 to 2.5; `count`: of curves, 2 to 30; `pace` of the starts, 1 to 16: how fast
              they wind; `wave` behind the points: "none", "slow" or "fast", two that meet at x = ±1, ±3; `at`: where
              to look first, −5 to 5; `seed`; `todo`.
            * "state": a game. `n` keys pass, `H` numbers may be kept, one is asked for; `seed`; `todo`.
            * "cost": bytes kept and work of Aaren, linear attention and a cache. `layers`, `heads`, `dim`, `length`
              (powers of two but for the layers); `precision`: "float64", "float32" or "float16"; `todo`.
            * "puzzle": a puzzle of `aaren.puzzles` in JavaScript: an editor, and the verdict that `check` gives. `name`:
              of the puzzle; `todo`. Under `backward` it draws where the reader's gradient leads two descents, under
              `hillis_steele`, `blelloch` and `window` what the reader's function merges of 8 tokens.
            * "wave": a wave to draw, and a trained model that streams it. `model`: a file of `aaren.stream.save`, a
              `Stream`, or a Keras model, a stack of Aaren layers with as many features as `theta` has frequencies:
              those it was trained on; the reader draws the first, the others run on beside it. A band shows the mean
              of dropout runs ± f σ. Or `model` is a list of 2 to 5 such models, one for each seed of a training: the
              first answers and has dropout runs, and the reader may take the band from the seeds instead, without
              dropout, σ as an estimate from so many. A strip below shows how far the last four steps are from the
              nearest four of a sine of the first frequency, with any phase: the root of the summed squares. `steps`:
              20 to 300; `dropout`: of the runs at first, a whole number of percent (the model's own if None);
              `runs`; `seed`; `todo`.
            * "heartbeat": beats to change and to put among others, read by a trained classifier. `model`: as for
              "wave", or a fitted classifier of `aaren.estimators`; with one layer of Aaren, and one answer (a sigmoid)
              or two (a softmax); the probability shown is that of the last, `classes[1]`. `beats`: 1 to 12 of the
              same length, a multiple of `patch`, the samples of a token; a model with a feature more than that is
              given a clock, which is 1 at the end of a beat. `labels`: of the beats, entries of `classes`; `around`:
              up to 12 beats to put yours among (the other `beats` if None); `beat`: which of them first, from 0;
              `count`: beats of the recording at first; `threshold`: the rule speaks once either class is that
              probable, for `hold` tokens in a row; `scale`: "running" if each sample is standardised by those up to
              it, or "none". What is None is as the classifier has it, or 1, 0.9, 1 and "none". `usual`: the samples
              that stand in for a token to see how far it moves the answer, as the model reads them; the mean of
              `beats` if None. `todo`.
        **options: what the component shows at first.

    Raises:
        ValueError: for a component that does not exist, and for options that it does not take.
        ImportError: without IPython.

    Example:
        >>> live("cell", scores=[0.5, 2.0], values=[1.0, -1.0])
        live('cell', scores=[0.5, 2.0], values=[1.0, -1.0])
    """
    given = [repr(component), *(f"{name}={_repr(value)}" for name, value in options.items())]
    _display({"text/plain": f"live({', '.join(given)})", "text/html": page(component, options)})


def _repr(value: Any) -> str:
    if hasattr(value, "tolist"):
        return _repr(value.tolist())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_repr, value))}]"
    if isinstance(value, Mapping) or any(hasattr(value, name) for name in ("layers", "model_")):
        return "a model"
    # few digits: the same on every processor
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def page(component: str, options: Mapping[str, Any]) -> str:
    """The HTML of a component."""
    if component not in COMPONENTS:
        raise ValueError(
            f"component must be one of {', '.join(map(repr, COMPONENTS))}; got {component!r}."
        )
    kind = COMPONENTS[component]
    try:
        checked = kind.options(**options)
    except TypeError as error:
        raise ValueError(
            f'options must be those of the component "{component}"; got {error}.'
        ) from None
    svg, alt = kind.picture(checked)
    source = quote(svg, safe=" !$&'()*+,-./:;=?@[]^_`{|}~")
    text = (
        f'<div class="aaren-live" data-component="{component}" role="group" aria-label="{kind.label}">\n'
        f'<style class="aaren-look">\n{_css(component)}</style>\n'
        f'<div class="aaren-picture"><img src="data:image/svg+xml,{source}" alt="{html.escape(alt)}">'
        f"<p>{WAKE}</p></div>\n"
        f'<script type="application/json" class="aaren-options">{_json(checked)}</script>\n'
        f'<script class="aaren-code">\n{script(component)}</script>\n</div>'
    )
    given = (_json(checked.get(name, "")) for name in ("model", "beats", "around", "usual"))
    size = len(text.encode()) - len(source) - sum(map(len, given))
    if size > kind.most:
        raise ValueError(f"a component must have at most {kind.most} bytes of HTML; got {size}.")
    return text


def script(component: str) -> str:
    """The functions that the component calls, and the component, as one classic script."""
    frame, *own = (
        (PARTS / f"{name}.js").read_text("utf-8")
        for name in ("frame", *COMPONENTS[component].parts, component)
    )
    code, kind = "".join(own), COMPONENTS[component]
    if kind.parts or kind.lean:
        frame = _called(frame, code)
    engine = "" if kind.parts else _called(ENGINE.read_text("utf-8"), frame + code)
    return "(() => {\n" + _bare(engine + frame + code) + "})();\n"


def _called(module: str, caller: str) -> str:
    """The top-level definitions of an ES module that `caller` needs, without `export`."""
    chunks = re.split(r"^(?=(?:export |async )*(?:function|const|let|class) )", module, flags=re.M)
    named = {}
    for chunk in chunks[1:]:
        code = re.sub(r"^export (default )?", "", chunk)
        # a comment that stands before the next definition belongs to that one
        code = re.sub(r"(?:^(?://.*|/\*\*(?:.|\n)*?\*/)?\n)+\Z", "", code, flags=re.M)
        named[re.match(r"(?:async )?\w+\*? (\w+)", code)[1]] = code  # type: ignore[index]
    wanted: set[str] = set()
    texts = [caller]
    while texts:
        words = set(re.findall(r"[A-Za-z_]\w*", texts.pop()))
        fresh = (words & named.keys()) - wanted
        wanted |= fresh
        texts += [named[name] for name in fresh]
    return "".join(code + "\n" for name, code in named.items() if name in wanted)


def _bare(code: str) -> str:
    """Code without its comments, its indentation and the spaces around its signs."""
    code = re.sub(r"^\s*/\*\*(?:.|\n)*?\*/\s*\n", "", code, flags=re.M)
    code = re.sub(r"^\s*//.*\n| // [^\n\"'`]*$", "", code, flags=re.M)
    code = re.sub(r"^\s+|\n(?=\n)", "", code, flags=re.M)
    # not inside a text or a regular expression, nor where a template stands; + and - keep their spaces,
    # since a + +b is not a ++b
    kept = r"""(.*`.*|"(?:\\.|[^"\\\n])*"|(?<=[(=,])/(?:\\.|[^/\\\n])+/)"""
    pieces = re.split(kept, code)
    pieces[::2] = [re.sub(r" ?([=,;:?(){}<>*|&!\[\]]) ?", r"\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def _css(component: str) -> str:
    frame, own = (PARTS / f"{name}.css" for name in ("frame", component))
    rules, more = frame.read_text("utf-8"), own.read_text("utf-8") if own.exists() else ""
    if COMPONENTS[component].lean:
        made = {"aaren-live", "aaren-dark", "aaren-picture"}
        made |= set(re.findall(r"[\w-]+", script(component)))
        rules = "".join(_worn(rule, made) for rule in rules.splitlines())
    text = rules + more
    text = re.sub(r"\s*([{};])\s*|(?<=[:,])\s+", r"\1", text)
    return text.replace(";}", "}")


def _worn(rule: str, made: set[str]) -> str:
    """A rule without the selectors of classes and tables that are not made."""
    selectors, brace, rest = rule.partition("{")
    named = re.compile(r"aaren-\w+|\b(?:table|t[rhd]|code)\b")
    worn = [x for x in selectors.split(",") if all(name in made for name in named.findall(x))]
    return ",".join(worn) + brace + rest if worn else ""


def _json(value: Any) -> str:
    def plain(x: Any) -> Any:
        if isinstance(x, Mapping):
            return {key: plain(item) for key, item in x.items()}
        if isinstance(x, (list, tuple)):
            return [plain(item) for item in x]
        # JSON has no infinity; Number("-Infinity") reads this
        return "-Infinity" if isinstance(x, float) and x == -math.inf else x

    text = json.dumps(plain(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c")


# -- checks -------------------------------------------------------------------------------------------------


def _numbers(name: str, values: Any, low: int, high: int, least: float = -math.inf) -> list[float]:
    try:
        listed = [float(f"{value:.10g}") for value in values]  # the same on every processor
    except (TypeError, ValueError):
        listed = []
    if not low <= len(listed) <= high or not all(least <= x < math.inf for x in listed):
        kind = "numbers" if least == -math.inf else "finite numbers"
        raise ValueError(f"{name} must be {low} to {high} {kind}; got {values!r}.")
    return listed


def _one_of(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
    return value


def _span(name: str, given: Any, shown: Sequence[float]) -> list[float]:
    """The ends of an axis: as given, or around what is shown, in whole numbers."""
    if given is None:
        finite = [x for x in shown if math.isfinite(x)] or [0.0]
        return [min(-3.0, math.floor(min(finite))), max(3.0, math.ceil(max(finite)))]
    low, high = _numbers(name, given, 2, 2, -1e9)
    if not low < high:
        raise ValueError(f"{name} must be (low, high) with low < high; got {given!r}.")
    return [low, high]


# -- pictures -----------------------------------------------------------------------------------------------


def _svg(width: float, height: float, *shapes: str) -> str:
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' "
        f"height='{height:g}' font-family='sans-serif' font-size='13'>"
        f"<rect width='100%' height='100%' fill='#fff'/>{''.join(shapes)}</svg>"
    )


def _shape(tag: str, text: str = "", **attributes: Any) -> str:
    def told(value: Any) -> str:
        return f"{round(value, 1):g}" if isinstance(value, float) else str(value)

    named = "".join(
        f" {name.strip('_').replace('_', '-')}='{told(value)}'"
        for name, value in attributes.items()
    )
    return f"<{tag}{named}>{html.escape(text)}</{tag}>" if text else f"<{tag}{named}/>"


def _text(x: float, y: float, text: str, **attributes: Any) -> str:
    return _shape("text", text, x=float(x), y=float(y), **{"fill": "#222", **attributes})


def _told(x: float) -> str:
    return "−∞" if x == -math.inf else f"{x:.4g}".replace("-", "−")


# -- the cell -----------------------------------------------------------------------------------------------


def _cell_options(
    scores=(0.3, -0.9, 0.9, 0.1, 1.6, 0.6),
    values=(2.0, 2.5, -1.0, 1.5, -2.0, 1.0),
    read=None,
    cell="package",
    precision="float64",
    lines=True,
    score_range=None,
    value_range=None,
    todo="Drag a bar (a score) or a dot (a value), or focus one and press the arrow keys. Everything else follows.",
):
    scores = _numbers("scores", scores, 1, 12)
    values = _numbers("values", values, len(scores), len(scores), -1e9)
    read = len(scores) if read is None else read
    return {
        "scores": scores,
        "values": values,
        "read": _one_of("read", read, range(1, len(scores) + 1)),
        "cell": _one_of("cell", cell, ("package", "zero", "naive", "bare")),
        "precision": _one_of("precision", precision, ("float64", "float32")),
        "lines": bool(lines),
        "score_range": _span("score_range", score_range, scores),
        "value_range": _span("value_range", value_range, values),
        "todo": str(todo),
    }


def _cell_states(scores: Sequence[float], values: Sequence[float]) -> list[tuple[float, ...]]:
    """(m, u, w, w / u) after each token."""
    m, u, w = -math.inf, 0.0, 0.0
    states: list[tuple[float, ...]] = []
    for s, v in zip(scores, values, strict=True):
        new = max(m, s)
        unit = 0.0 if new == -math.inf else new
        keep, add = math.exp(m - unit), math.exp(s - unit)
        m, u, w = new, u * keep + add, w * keep + add * v
        states.append((m, u, w, w / u if u else 0.0))
    return states


def _cell_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    scores, values, read = options["scores"], options["values"], options["read"]
    states = _cell_states(scores, values)
    column, left, tall = 600 / len(scores), 60.0, 120.0

    def height(x: float, span: Sequence[float], top: float) -> float:
        low, high = span
        return top + tall * (high - min(max(x, low), high)) / (high - low)

    shapes, line = [], []
    for i, (s, v, (m, _, _, o)) in enumerate(zip(scores, values, states, strict=True)):
        x, faint = left + column * (i + 0.5), 0.35 if i >= read else 1.0
        y, zero = (height(z, options["score_range"], 20) for z in (s, 0.0))
        shapes += [
            _shape(
                "rect", x=x - column * 0.3, y=min(y, zero), width=column * 0.6, height=abs(y - zero),
                fill=COLORS["score"], opacity=faint,
            ),
            _shape("circle", cx=x, cy=height(v, options["value_range"], 170), r=6, fill=COLORS["value"], opacity=faint),
            _text(x, 312, str(i + 1), text_anchor="middle"),
        ]  # fmt: skip
        if m > -math.inf:
            at = height(m, options["score_range"], 20)
            dash: dict[str, Any] = {
                "stroke": COLORS["maximum"],
                "stroke_width": 2,
                "stroke_dasharray": "7 4",
            }
            shapes.append(_shape("path", d=f"M{x - column / 2:.1f} {at:.1f}h{column:.1f}", **dash))
        line.append(f"{x:.1f} {height(o, options['value_range'], 170):.1f}")
    thick: dict[str, Any] = {"fill": "none", "stroke": COLORS["output"], "stroke_width": 2.5}
    shapes += [
        _shape("path", d="M" + "L".join(line), **thick),
        _text(4, 32, "score s"), _text(4, 182, "value v"), _text(4, 312, "token"),
        _text(4, 336, "Bars: scores. Dashed: the maximum m. Dots: values. Line: the output w/u."),
    ]  # fmt: skip
    m, u, w, o = states[read - 1]
    alt = (
        f"{len(scores)} tokens with scores {', '.join(map(_told, scores))} and values "
        f"{', '.join(map(_told, values))}. After token {read}: maximum {_told(m)}, denominator {_told(u)}, "
        f"numerator {_told(w)}, output {_told(o)}."
    )
    return _svg(left + 610, 346, *shapes), alt


# -- the scan -----------------------------------------------------------------------------------------------

OPERATORS = ("+", "max", "join", "merge", "sums", "mean")
PAIRS = ("merge", "sums")
FORMS = ("sequential", "hillis", "blelloch", "blocks", "tree")


def _scan_options(
    items=(3, 1, 4, 1, 5, 9, 2, 6),
    op="+",
    form="sequential",
    forms=FORMS[:4],
    C=4,
    direction="forward",
    todo="Choose a form and watch who merges what. Change an item; point at an output to see its way.",
):
    _one_of("op", op, OPERATORS)
    for name in (*forms, form):
        _one_of("form", name, FORMS)
    listed = list(items)
    if not 2 <= len(listed) <= 16:
        raise ValueError(f"items must be 2 to 16 items; got {items!r}.")
    if op == "join":
        texts: list[Any] = [str(item) for item in listed]
    elif op in PAIRS:
        pairs = [_numbers("an item (score, value)", item, 2, 2) for item in listed]
        texts = [[_told(x) for x in pair] for pair in pairs]
    else:
        texts = [_told(x) for x in _numbers("items", listed, 2, 16)]
    return {
        "items": texts,
        "op": op,
        "form": form,
        "forms": list(forms),
        "C": _one_of("C", C, range(2, 9)),
        "direction": _one_of("direction", direction, ("forward", "backward")),
        "todo": str(todo),
    }


def _scan_rounds(form: str, n: int, C: int) -> list[list[tuple[int, int]]]:
    """For each round the merges (from, to), positions counted from 0; the picture needs no more than this."""
    if form == "sequential":
        return [[(k - 1, k)] for k in range(1, n)]
    powers = [2**r for r in range(16) if 2**r < n]
    if form == "hillis":
        return [[(k - d, k) for k in range(d, n)] for d in powers]
    if form == "blocks":
        ends = [min(n, first + C) - 1 for first in range(0, n, C)]
        inside = [[(k - 1, k) for k in range(r, n, C)] for r in range(1, min(C, n))]
        carry = [(k - k % C - 1, k) for k in range(C, n) if k not in ends]
        between = _scan_rounds(form, len(ends), C) if n > C else []  # the same of the ends
        between = [[(ends[i], ends[j]) for i, j in merges] for merges in between]
        return [*inside, *between, *([carry] if carry else [])]
    up = [[(k - d, k) for k in range(2 * d - 1, 2 * powers[-1], 2 * d)] for d in powers]
    return up if form == "tree" else up + up[::-1]


def _scan_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    items, form = options["items"], options["form"]
    backward = options["direction"] == "backward"
    if options["op"] in PAIRS:
        items = [f"{s}: {v}" for s, v in items]
    rounds = _scan_rounds(form, len(items), options["C"])
    columns = 1 + max(max(to for _, to in merges) for merges in rounds)
    wide, high = 620 / columns, min(46, 440 / len(rounds))

    def middle(i):  # of the i-th item that the scan meets
        return 70 + wide * (columns - i - 0.5 if backward else i + 0.5)

    met = items[::-1] if backward else items
    shapes = [_text(middle(i), 20, item, text_anchor="middle") for i, item in enumerate(met)]
    for r, merges in enumerate(rounds):
        y = 28 + high * r
        shapes.append(_text(4, y + high * 0.8, f"round {r + 1}"))
        for here, to in merges:
            x, end = middle(here), middle(to)
            line: dict[str, Any] = {"stroke": COLORS["output"], "stroke_width": 1.5}
            shapes.append(
                _shape("path", d=f"M{x:.0f} {y:.0f}L{end:.0f} {y + high - 5:.0f}", **line)
            )
            shapes.append(_shape("circle", cx=end, cy=y + high - 5, r=4, fill=COLORS["output"]))
    count = sum(map(len, rounds))
    alt = (
        f"The {form} scan of {len(items)} items, {', '.join(items)}: {count} merges in {len(rounds)} rounds. "
        f"A line leads from {'a later' if backward else 'an earlier'} item to the place where it is merged."
    )
    return _svg(700, 36 + high * len(rounds), *shapes), alt


# -- be the state -------------------------------------------------------------------------------------------


def _state_options(
    n=8,
    H=2,
    seed=7,
    todo="Be the state: cards pass once, you may keep H of them, then one key is asked for.",
):
    _one_of("n", n, range(2, 9))
    return {
        "n": n,
        "H": _one_of("H", H, range(1, n + 1)),
        "seed": _one_of("seed", seed, range(2**31)),
        "todo": str(todo),
    }


def _state_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    n, H = options["n"], options["H"]
    shapes = [
        _text(4, 20, f"Least mean squared error when H of {n} values are kept unseen: 1 − H/{n}")
    ]
    for h in range(n + 1):
        bound, x = 1 - h / n, 60 + 600 / (n + 1) * h
        fill = COLORS["output"] if h == H else COLORS["score"]
        shapes += [
            _shape("rect", x=x, y=200 - 150 * bound, width=40, height=150 * bound, fill=fill),
            _text(x + 20, 220, f"{h}", text_anchor="middle"),
            _text(x + 20, 194 - 150 * bound, f"{bound:.3g}", text_anchor="middle"),
        ]
    shapes.append(_text(4, 220, "H"))
    alt = (
        f"Recall of {n} keys, of which H are kept, chosen without a look at their values: the mean squared error is "
        f"at least 1 − H/{n}. "
        f"For H = {H} that is {1 - H / n:.3g}; a cache keeps {2 * n} numbers and errs by 0."
    )
    return _svg(700, 232, *shapes), alt


# -- forgetting ---------------------------------------------------------------------------------------------


def _fade_options(
    length=60,
    jump=41,
    kept=100,
    fresh=0,
    window=0,
    read=None,
    values=None,
    called="a heartbeat",
    todo="Let the past lose weight: move a slider, and see how soon the output follows the jump.",
):
    _one_of("length", length, range(10, 121))
    tokens = range(length + 1)
    given = None if values is None else _numbers("values", values, length, length, -1e9)
    return {
        "length": length,
        "values": given,
        "called": str(called),
        "jump": _one_of("jump", jump, tokens[2:]),
        "kept": _one_of("kept", kept, range(50, 101)),
        "fresh": _one_of("fresh", fresh, tokens),
        "window": _one_of("window", window, tokens),
        "read": _one_of("read", length if read is None else read, tokens[1:]),
        "todo": str(todo),
    }


def _fade_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    T, read = options["length"], options["read"]
    token = np.arange(1, T + 1)
    age = token[:, None] - token
    left = np.where(age >= 0, (options["kept"] / 100) ** np.maximum(age, 0), 0)
    if options["fresh"]:
        left[options["fresh"] - 1 :, : options["fresh"] - 1] = 0
    if options["window"]:
        left[age >= options["window"]] = 0
    outputs = left @ (token >= options["jump"]) / left.sum(axis=1)
    x = 30 + 660 / T * (token - 0.5)

    def trail(values):
        return "M" + "L".join(f"{a:.0f} {230 - 90 * b:.0f}" for a, b in zip(x, values))

    bars = "".join(f"M{a:.0f} 110v{-90 * b:.0f}" for a, b in zip(x, left[read - 1]) if b)
    shapes = [
        _shape("path", d=bars, stroke=COLORS["score"], stroke_width=460 / T),
        _shape(
            "path", d=trail(token >= options["jump"]), stroke="#999", fill="none", stroke_width=5
        ),
        _shape("path", d=trail(outputs), stroke=COLORS["output"], fill="none", stroke_width=2.5),
        _text(30, 14, "what is left of each token's votes"),
        _text(30, 130, "the signal (grey), and the output"),
    ]
    votes = left[read - 1].sum()
    alt = (
        f"A signal that jumps from 0 to 1 at token {options['jump']} of {T}. After token {read} there are {votes:.3g} "
        f"votes, the newest has {100 / votes:.2g} % of the weight, and the output is {outputs[read - 1]:.2g}."
    )
    return _svg(700, 240, *shapes), alt


# -- dropout on one feature -----------------------------------------------------------------------------------


def _mask_options(
    rate=10,
    height=100,
    runs=40,
    seed=1,
    todo="Move the rate. Then drag the circle on the curve, or use its arrow keys, to where the loss is least.",
):
    return {
        "rate": _one_of("rate", rate, range(61)),
        "height": _one_of("height", height, range(151)),
        "runs": _one_of("runs", runs, range(1, 101)),
        "seed": _one_of("seed", seed, range(10_000)),
        "todo": str(todo),
    }


def _mask_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    rate, a = options["rate"] / 100, options["height"] / 100
    sigma, least = a * math.sqrt(rate / (1 - rate)), a * a / (1 - rate) - 2 * a + 1

    def x(value: float) -> float:
        return 30 + 110 * (min(4, max(-2, value)) + 2)

    low, high = x(a - 2 * sigma), x(a + 2 * sigma)
    shapes = [
        _shape(
            "rect", x=low, y=34, width=high - low, height=90, fill=COLORS["output"], opacity=0.2
        ),
        _shape("path", d=f"M{x(1):.0f} 34v90", stroke="#999", stroke_width=5),
        _shape("path", d=f"M{x(a):.0f} 34v90", stroke=COLORS["output"], stroke_dasharray="5 4"),
        *(
            _shape("circle", cx=x(value), cy=124.0, r=3 + 12 * share, fill=COLORS["output"])
            for value, share in ((0, rate), (a / (1 - rate), 1 - rate))
        ),
        *(_text(x(value), 154, _told(value), text_anchor="middle") for value in range(-2, 5)),
        _text(30, 14, "answers of runs; grey: the truth, 1; shaded: mean ± 2σ"),
    ]
    alt = (
        f"Dropout of {options['rate']} % on one feature that is 1, which the answer takes {a:g} times: a run gives 0 or "
        f"{a / (1 - rate):.3g}, with mean {a:.3g} and σ {sigma:.2g}. The loss is {least:.3g}; at the height "
        f"{1 - rate:g} it would be {rate:g}."
    )
    return _svg(700, 164, *shapes), alt


# -- curves through points ------------------------------------------------------------------------------------


def _curves_options(
    points=((-3, -(0.5**0.5)), (-1, -(0.5**0.5)), (1, 0.5**0.5), (3, 0.5**0.5)),
    count=3,
    pace=2,
    wave="none",
    at=4,
    seed=1,
    todo="Drag a point, or focus it and press the arrow keys. Where do the curves agree, and where do they part?",
):
    try:
        pairs = [_numbers("a point", point, 2, 2, -5) for point in points]
    except TypeError:
        pairs = []
    if not 1 <= len(pairs) <= 8 or not all(abs(x) <= 5 and abs(y) <= 2.5 for x, y in pairs):
        raise ValueError(
            f"points must be 1 to 8 pairs (x, y) with |x| ≤ 5 and |y| ≤ 2.5; got {points!r}."
        )
    (place,) = _numbers("at", [at], 1, 1, -5)
    if place > 5:
        raise ValueError(f"at must be from −5 to 5; got {at!r}.")
    return {
        "points": pairs,
        "count": _one_of("count", count, range(2, 31)),
        "pace": _one_of("pace", pace, range(1, 17)),
        "wave": _one_of("wave", wave, ("none", "slow", "fast")),
        "at": place,
        "seed": _one_of("seed", seed, range(1_000_000)),
        "todo": str(todo),
    }


def _dice(seed: int) -> Callable[[], float]:
    """The engine's `seeded`."""

    def roll() -> float:
        nonlocal seed
        seed = (seed + 0x6D2B79F5) % 2**32
        x = (seed ^ seed >> 15) * (1 | seed) % 2**32
        x = (x + (x ^ x >> 7) * (61 | x)) % 2**32 ^ x
        return (x ^ x >> 14) / 2**32

    return roll


def _curves_drawn(options: Mapping[str, Any], units: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """121 places, and the curves there."""
    places, (x, y) = np.linspace(-5, 5, 121), np.transpose(options["points"])
    curves = []
    for n in range(options["count"]):
        dice = _dice(1000 * options["seed"] + n)

        def normal(dice=dice):
            return math.sqrt(-2 * math.log(1 - dice())) * math.cos(2 * math.pi * dice())

        drawn = [(normal(), 2 * math.pi * dice(), normal()) for _ in range(units)]
        a, c, w = np.transpose(drawn)
        a, w = options["pace"] / 4 * a, math.sqrt(2 / units) * w
        seen, given = (np.sin(a * at[:, None] + c) for at in (places, x))
        kernel = given @ given.T / units + 1e-4 * np.eye(len(x))
        curves.append(seen @ (w + given.T @ np.linalg.solve(kernel, y - given @ w) / units))
    return places, np.array(curves)


def _curves_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    places, curves = _curves_drawn(options)
    mean, sigma = curves.mean(axis=0), curves.std(axis=0, ddof=1)

    def dots(values):
        heights = 134 - 50 * np.clip(values, -3, 3)
        return [f"{380 + 64 * a:.0f} {b:.0f}" for a, b in zip(places, heights)]

    around = dots(mean - 2 * sigma) + dots(mean + 2 * sigma)[::-1]
    shapes = [
        _shape("path", d="M" + "L".join(around) + "Z", fill=COLORS["output"], opacity=0.2),
        *(
            _shape("path", d="M" + "L".join(dots(curve)), fill="none", stroke=COLORS["output"])
            for curve in curves[:3]
        ),
        *(
            _shape("circle", cx=380 + 64 * x, cy=134 - 50 * y, r=6, fill=COLORS["value"])
            for x, y in options["points"]
        ),
        _text(40, 14, "curves through points; shaded: mean ± 2σ"),
    ]
    widest = places[sigma.argmax()]
    alt = (
        f"{options['count']} curves through {len(options['points'])} points. They part most at x = {widest:.2g}, "
        f"where σ is {sigma.max():.2g}; at the points it is at most "
        f"{max(np.interp(x, places, sigma) for x, _ in options['points']):.1g}."
    )
    return _svg(760, 270, *shapes), alt


# -- what it costs ------------------------------------------------------------------------------------------


def _cost_options(
    layers=1,
    heads=8,
    dim=32,
    length=4096,
    precision="float32",
    todo="What would it cost? Move a slider, or drag the mark in the picture along the tokens.",
):
    return {
        "layers": _one_of("layers", layers, range(1, 49)),
        "heads": _one_of("heads", heads, [2**i for i in range(8)]),
        "dim": _one_of("dim", dim, [2**i for i in range(2, 9)]),
        "length": _one_of("length", length, [2**i for i in range(21)]),
        "precision": _one_of("precision", precision, ("float64", "float32", "float16")),
        "todo": str(todo),
    }


def _kept(options: Mapping[str, Any], length: int) -> dict[str, int]:
    """Bytes that each layer keeps after `length` tokens; a state stays in float32 under float16."""
    H, D, layers = options["heads"], options["dim"], options["layers"]
    state, cached = {"float64": (8, 8), "float32": (4, 4), "float16": (4, 2)}[options["precision"]]
    return {
        "Aaren": layers * H * (D + 2) * state,
        "linear attention": layers * H * D * (D + 1) * state,
        "attention with a cache": layers * 2 * H * D * length * cached,
    }


def _cost_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    here, ends = _kept(options, options["length"]), [_kept(options, 2**t) for t in (0, 20)]
    low = math.log2(min(ends[0].values())) - 1
    high = math.log2(max(ends[1].values())) + 1
    shapes = []
    for name, color in zip(here, ("output", "value", "score")):
        y = [20 + 200 * (high - math.log2(end[name])) / (high - low) for end in ends]
        line: dict[str, Any] = {"stroke": COLORS[color], "stroke_width": 3}
        shapes.append(_shape("path", d=f"M60 {y[0]:.0f}L660 {y[1]:.0f}", **line))
        cached = name == "attention with a cache"
        at = (530, (y[0] + 4 * y[1]) / 5) if cached else (650, y[1] - 6)
        shapes.append(_text(*at, f"{name}: {here[name]:,} bytes", text_anchor="end"))
    shapes += [_text(60, 240, "1 token"), _text(660, 240, "1,048,576 tokens", text_anchor="end")]
    told = ", ".join(f"{name} {kept:,}" for name, kept in here.items())
    alt = (
        f"Bytes kept after {options['length']:,} tokens, {options['layers']} layer(s) of {options['heads']} heads "
        f"of size {options['dim']}, {options['precision']}: {told}."
    )
    return _svg(700, 250, *shapes), alt


# -- a puzzle -----------------------------------------------------------------------------------------------


def _puzzle_options(
    name,
    todo="The same puzzle in JavaScript, on this page: write the function, and press Check.",
):
    puzzle = PUZZLES[_one_of("name", name, tuple(PUZZLES))]
    text = (PARTS / f"puzzle-{name}.js").read_text("utf-8")
    _, stub, answer, mistakes = re.split(r"^// -- .*\n", text, flags=re.M)
    options = {
        "name": name,
        "todo": str(todo),
        "stub": stub,
        "answer": answer,
        "mistakes": _bare(mistakes),
        "arguments": list(inspect.signature(puzzle.answer).parameters),
        "form": SHAPES.get(puzzle.returns, "array"),
        "returns": _in_brackets(puzzle.returns),
        "cases": [[about, _sent(arguments)] for about, arguments in puzzle.cases()],
    }
    if puzzle.parts:
        options |= {"parts": list(puzzle.parts), "steps": list(puzzle.steps)}
    if puzzle.returns == ITEMS:
        drawing = _bare((PARTS / "drawing.js").read_text("utf-8"))
        sizes = [len(arguments[0]) for _, arguments in puzzle.cases()]
        options |= {"drawn": sizes.index(8), "mistakes": drawing + options["mistakes"]}
    if puzzle.cost:
        options |= {"counted": _sent(puzzle.example()), "limit": puzzle.limit, "size": puzzle.size}
    if puzzle.least:
        options["least"] = puzzle.least
    if puzzle.again:
        options["again"] = list(puzzle.again)
    return options


SHAPES = {TRIPLE: "triple", ITEMS: "list", PAIR: "pair"}  # an array of numbers is none of them


def _in_brackets(text: str) -> str:
    """A tuple or a list as JavaScript names it; a shape stays as it is."""
    text = re.sub(r"(?<!shape )\((.+)\)", r"[\1]", text)
    return text.replace("a list", "an array")


def _sent(value: Any) -> Any:
    """An argument of a puzzle, as `read` in parts/judge.js takes it."""
    if isinstance(value, Triple):
        return {"triple": [_sent(part) for part in value]}
    if isinstance(value, Kept):
        return {"kept": [_sent(value.s), _sent(value.v)]}
    if isinstance(value, Part):
        return {"part": value.name}
    if isinstance(value, (Join, Piece)):
        return {"op" if isinstance(value, Join) else "identity": True}
    if isinstance(value, list):
        return {"letters": len(value)}
    if isinstance(value, tuple):
        return [_sent(part) for part in value]
    return _short(value.tolist() if hasattr(value, "tolist") else value)


def _short(x: Any) -> Any:
    """Numbers in a list, whole ones without the ".0" at their end."""
    if isinstance(x, list):
        return list(map(_short, x))
    return int(x) if repr(x).endswith(".0") and repr(x) != "-0.0" else x


def _puzzle_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    lines = options["stub"].splitlines()
    font = {"font_family": "monospace", "font_size": 14, "xml:space": "preserve"}
    shapes = [
        _shape(
            "rect",
            x=4,
            y=4,
            width=692,
            height=24 * len(lines) + 20,
            rx=6,
            fill="none",
            stroke="#444",
        )
    ]
    shapes += [_text(20, 36 + 24 * i, line, **font) for i, line in enumerate(lines)]
    below = 56 + 24 * len(lines)
    told = "Where scripts run, this is an editor. Elsewhere solve it in Python, in Colab or in a cell of this chapter."
    alt = f"An editor with a function to be written in JavaScript: {' '.join(lines[0].split())}. {told}"
    return _svg(700, below + 16, *shapes, _text(4, below, told)), alt


# -- a trained model ----------------------------------------------------------------------------------------


def _document(model: Any) -> dict[str, Any]:
    """What a file of `aaren.stream.save` holds, from its path, its stream, or the model itself."""
    if isinstance(model, (str, PathLike)):
        stream = load(model)
    elif isinstance(model, (Stream, Mapping)):
        stream = model if isinstance(model, Stream) else Stream(dict(model))
    elif hasattr(model, "get_weights") or hasattr(model, "model_"):
        from aaren.stream.fold import fold

        model = getattr(model, "model_", model)  # a classifier has its network there
        stream = Stream(fold(model))
    else:
        raise ValueError(
            f"model must be a file of aaren.stream.save, a Stream or a Keras model; got {model!r:.80}."
        )
    return stream.document


# -- a wave and a trained network -----------------------------------------------------------------------------


WAVE = (
    "Draw a wave: drag in the picture, or focus the pen and press the arrow keys (with Shift it moves "
    "without drawing). The trained model answers each step from the steps before it. "
)
FACTOR = (
    "Find the least f whose band holds 95 % of the slow wave, on which it was trained, then choose another "
    "frequency: what does the band hold there?"
)
SEEDS = (
    "The strip below rises where your wave is unlike the training. Before you press “a step”: which band will "
    "widen there, that of the dropout runs or that of the seeds? Try both, then draw what raises the strip."
)


def _wave_options(
    model,
    theta=(0.1, 1.0),
    steps=120,
    dropout=None,
    runs=40,
    seed=1,
    todo=None,
):
    several = isinstance(model, (list, tuple))
    if several and len(model) not in range(2, 6):
        raise ValueError(f"model must be one model or a list of 2 to 5; got {len(model)}.")
    documents = [_document(one) for one in (model if several else [model])]
    theta = _numbers("theta", theta, 1, 8, 0)
    for document in documents:
        layers = document["layers"]
        if document["features"] != len(theta):
            raise ValueError(
                f"theta must have {document['features']} frequencies, one for each feature of the model; "
                f"got {len(theta)}."
            )
        if not all(
            layer["kind"] == "aaren" and layer.get("window") is None
            for layer in layers
            if layer["kind"] not in ("dense", "activation", "affine", "layer_normalization")
        ) or not any(layer["kind"] == "aaren" for layer in layers):
            kinds = ", ".join(layer["kind"] for layer in layers)
            raise ValueError(
                f"model must be a stack of Aaren layers without a window, so that its state can be drawn; got {kinds}."
            )
    if todo is None:
        todo = WAVE + (SEEDS if several else FACTOR)
    rates = [layer.get("dropout") or 0 for layer in documents[0]["layers"]]
    percent = round(100 * max(rates)) if dropout is None else dropout
    return {
        "model": documents if several else documents[0],
        "theta": theta,
        "steps": _one_of("steps", steps, range(20, 301)),
        "dropout": _one_of("dropout", percent, range(61)),
        "runs": _one_of("runs", runs, range(2, 101)),
        "seed": _one_of("seed", seed, range(2**31)),
        "todo": str(todo),
    }


def _wave_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    models, (first, *_) = options["model"], options["theta"]
    stream = Stream(models[0] if isinstance(models, list) else models)
    waves = np.sin(np.outer(np.arange(options["steps"]), options["theta"]))
    wave, answers = waves[:, 0], stream.run(waves)[:, 0]
    x = np.linspace(40, 690, len(wave))

    def trail(values):
        heights = 20 + 90 * (2 - np.clip(values, -2, 2)) / 2
        return "M" + "L".join(f"{a:.0f} {b:.1f}" for a, b in zip(x, heights))

    shapes = [
        _shape("path", d=trail(wave), fill="none", stroke="#999", stroke_width=5),
        _shape("path", d=trail(answers), fill="none", stroke=COLORS["output"], stroke_width=2.5),
        _text(40, 222, f"Grey: a wave of frequency {first:g}. Line: the trained model's answers."),
    ]
    off = float(np.sqrt(np.mean((answers - wave) ** 2)))
    numbers = sum(part.size for memory in stream.state for part in memory.values())
    alt = (
        f"A wave of frequency {first:g} over {len(wave)} steps, and a trained model's answers. They are {off:.2g} off "
        f"(root mean square). After each step the model keeps {numbers} numbers."
    )
    return _svg(700, 232, *shapes), alt


# -- a heartbeat ----------------------------------------------------------------------------------------------


def _series(name: str, series: Any, least: int, length: int | None = None) -> list[list[float]]:
    """Beats of one length, with four digits: what a picture can show."""
    try:
        array = np.asarray(series, "float64")
    except (TypeError, ValueError):
        array = np.empty(0)
    fits = array.ndim == 2 and least <= len(array) <= 12 and 8 <= array.shape[1] <= 256
    if not fits or not np.isfinite(array).all() or length not in (None, array.shape[1]):
        what = "8 to 256" if length is None else f"{length}, like beats,"
        got = f"shape {array.shape}" if array.size else f"{series!r:.80}"
        raise ValueError(
            f"{name} must be {least} to 12 series of {what} finite numbers; got {got}."
        )
    return [[float(f"{x:.4g}") for x in beat] for beat in array]


def _heartbeat_options(
    model,
    beats,
    labels=None,
    classes=("no", "yes"),
    around=None,
    patch=None,
    beat=0,
    count=1,
    threshold=None,
    hold=None,
    scale=None,
    usual=None,
    todo="Drag a piece of the beat up or down, or focus the circle and press the arrow keys. The second circle says "
    "how far the model has read, the third which token to ask about: how does it move the answer?",
):
    document = _document(model)
    patch = getattr(model, "patch_", 1) if patch is None else patch
    hold = getattr(model, "in_a_row_", 1) if hold is None else hold
    if threshold is None:  # a rule that waits for the end has a threshold that nothing reaches
        threshold = getattr(model, "threshold_", 0.9)
        threshold = threshold if threshold < 1 else 0.99
    if scale is None:
        scale = "running" if hasattr(model, "in_a_row_") else "none"
    kinds = [layer["kind"] for layer in document["layers"]]
    beats = _series("beats", beats, 1)
    length = len(beats[0])
    _one_of("patch", patch, [n for n in range(1, length + 1) if length % n == 0])
    if kinds.count("aaren") != 1 or document["features"] - patch not in (0, 1):
        raise ValueError(
            f"model must have one layer of Aaren and {patch} features, the samples of a token, or one more, a clock; "
            f"got {document['features']} features and {', '.join(kinds)}."
        )
    if (answers := Stream(document).size) not in (1, 2):
        raise ValueError(f"model must give one answer or two; got {answers}.")
    names = [str(name) for name in classes]
    if len(names) != 2:
        raise ValueError(f"classes must be two names; got {classes!r}.")
    scale = _one_of("scale", scale, ("none", "running"))
    if usual is None:
        usual = np.mean([_scaled(np.array(beat), scale) for beat in beats], axis=0)
    listed = [] if labels is None else list(labels)
    if listed and len(listed) != len(beats):
        raise ValueError(f"labels must be {len(beats)}, one for each beat; got {labels!r}.")
    if not 0.5 <= threshold < 1:
        raise ValueError(
            f"threshold must be a probability from 0.5 up and below 1; got {threshold!r}."
        )
    return {
        "model": document,
        "beats": beats,
        "labels": [names.index(_one_of("labels", label, names)) for label in listed],
        "classes": names,
        "around": [] if around is None else _series("around", around, 0, length),
        "patch": patch,
        "beat": _one_of("beat", beat, range(len(beats))),
        "count": _one_of("count", count, range(1, 9)),
        "threshold": float(threshold),
        "hold": _one_of("hold", hold, range(1, length // patch + 1)),
        "scale": scale,
        "usual": _series("usual", [usual], 1, length)[0],
        "reach": _reach(document["layers"][: kinds.index("aaren")]),
        "todo": str(todo),
    }


def _scaled(beat: np.ndarray, scale: str) -> np.ndarray:
    """A beat as the model reads it."""
    if scale == "none":
        return beat
    from aaren.estimators import running_z_score

    return running_z_score(beat)


def _reach(layers: Sequence[Mapping[str, Any]]) -> int:
    """For how many tokens more a token is heard in what these layers give."""
    reach = 0
    for layer in layers:
        if layer["kind"] == "linear_attention":
            return 2048  # to the end
        if layer["kind"] == "delay":
            reach += (layer["taps"] - 1) * layer["dilation"]
        reach += _reach(layer.get("layers", []))
    return min(reach, 2048)


def _heartbeat_picture(options: Mapping[str, Any]) -> tuple[str, str]:
    beat, patch, threshold = (
        np.array(options["beats"][options["beat"]]),
        options["patch"],
        options["threshold"],
    )
    signal = _scaled(beat, options["scale"])
    stream, tokens = Stream(options["model"]), signal.reshape(-1, patch)
    if stream.features > patch:
        clock = np.arange(1, len(tokens) + 1) / len(tokens)
        tokens = np.column_stack([tokens, clock])
    p = stream.run(tokens)[:, -1]
    answer = np.where(p >= threshold, 1, np.where(p <= 1 - threshold, 0, -1))
    hold = options["hold"]
    speaks = (
        i + 1
        for i in range(hold - 1, len(p))
        if answer[i] >= 0 and (answer[i + 1 - hold : i + 1] == answer[i]).all()
    )
    when = next(speaks, None)

    def trail(values, low, high, top):
        x = 40 + 650 * (np.arange(len(values)) + 0.5) / len(values)
        y = top + 90 * (high - np.clip(values, low, high)) / (high - low)
        return "M" + "L".join(f"{a:.0f} {b:.1f}" for a, b in zip(x, y))

    thick: dict[str, Any] = {"fill": "none", "stroke_width": 2.5}
    shapes = [
        _shape("path", d=trail(beat, -4, 4, 10), stroke="#444", **thick),
        _shape("path", d=trail(p, 0, 1, 120), stroke=COLORS["output"], **thick),
        _text(4, 20, "beat"), _text(4, 130, "1"), _text(4, 212, "0"),
        _text(40, 234, f"Below: the probability of {options['classes'][1]} after every sample."),
    ]  # fmt: skip
    rule = f"the rule at {threshold:g} never speaks"
    if when is not None:
        rule = f"the rule at {threshold:g} speaks after sample {when * patch}: {options['classes'][answer[when - 1]]}"
    alt = (
        f"A heartbeat of {len(beat)} samples, read by a trained model. After the last sample the probability of "
        f"{options['classes'][1]} is {p[-1]:.2g}; {rule}."
    )
    if options["labels"]:
        alt += f" Its label is {options['classes'][options['labels'][options['beat']]]}."
    return _svg(700, 244, *shapes), alt


COMPONENTS = {
    "puzzle": Component(
        _puzzle_options,
        _puzzle_picture,
        "A puzzle in JavaScript, checked in this page",
        ("judge",),
        40_000,  # beside the editor and the judge it holds an answer, a dozen mistakes and the inputs
        lean=True,
    ),
    "heartbeat": Component(
        _heartbeat_options,
        _heartbeat_picture,
        "A heartbeat and a trained model, in this page",
        lean=True,
    ),
    "wave": Component(
        _wave_options, _wave_picture, "A trained network, computing in this page", lean=True
    ),
    "fade": Component(_fade_options, _fade_picture, "Ways of forgetting, computing in this page"),
    "mask": Component(_mask_options, _mask_picture, "Dropout on one feature, in this page"),
    "curves": Component(_curves_options, _curves_picture, "Curves through points, in this page"),
    "state": Component(_state_options, _state_picture, "Be the state: a game in this page"),
    "cost": Component(_cost_options, _cost_picture, "What would it cost, computed in this page"),
    "scan": Component(_scan_options, _scan_picture, "Scans, computing in this page"),
    "cell": Component(_cell_options, _cell_picture, "The cell, computing in this page"),
}
