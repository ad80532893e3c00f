"""Figures with controls: drawn ahead for every front end, or on demand by a kernel."""

import base64
import functools
import html
import inspect
import io
import itertools
import json
import math
import numbers
import os
import re
import string
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aaren import _checks

MAX_FRAMES = 120
MAX_BYTES = 1_500_000


def explore(draw: Callable[..., Any], /, **controls: Sequence[float] | Sequence[str]) -> None:
    """Show the figure that `draw` makes, with a control for each of its arguments.

    Every combination of values is drawn ahead, so keep `draw` quick and its figures small, and let
    it depend on its arguments alone: seed whatever is random. Wherever scripts run, with a kernel or
    without, the output shows controls in HTML over those frames; where none run, one frame as a
    picture, with a line that says how to wake the controls; in a terminal, a line of text.

    Args:
        draw: a function of the controls that returns a matplotlib figure, or the pair
            (figure, alternative text). Without such a pair the picture's alternative text is the
            first line of the docstring, formatted with the controls; those that the line does not
            name are added at its end.
            The first frame is that of `draw`'s own defaults; a control whose argument has none
            starts at its first value.
        **controls: the values to try, by argument. A list of increasing numbers becomes a slider,
            a list of strings a choice, a `range` a slider with a play button.

    Raises:
        ValueError: for controls with fewer than two values, or with equal, unsorted or mixed ones;
            for a `draw` that does not take the controls, whose default is not among the values, or
            that returns no figure; for more than `MAX_FRAMES` combinations or `MAX_BYTES` of HTML.
        RuntimeError: for a `draw` that fails; the message names the combination.
        ImportError: without matplotlib or IPython.

    Example:
        >>> def weights(temperature=1):
        ...     '''Softmax weights at temperature {temperature}.'''
        ...     e = np.exp(np.array([1.0, 2.0, 3.0]) / temperature)
        ...     figure, axes = plt.subplots(figsize=(6.4, 3))
        ...     axes.bar(["a", "b", "c"], e / e.sum())
        ...     return figure
        >>> explore(weights, temperature=[0.25, 0.5, 1, 2, 4])
    """
    checked = [_control(name, values) for name, values in controls.items()]
    _check_draw(draw, checked)
    _check_count(checked)
    checked = _at_defaults(draw, checked)
    frame = functools.partial(_frame, draw, _describer(draw, checked))
    names = [c.name for c in checked]
    combinations = itertools.product(*(c.values for c in checked))
    frames = [frame(dict(zip(names, values, strict=True))) for values in combinations]
    given = [f"{c.name}={c.values!r}" for c in checked]
    shown = frames[_place(checked)]
    _display(
        {
            "text/plain": f"explore({', '.join([_name(draw), *given])})",
            "image/png": shown.png,
            "text/html": _page(checked, frames, shown),
        }
    )


def interact(draw: Callable[..., Any], /, **controls: Sequence[float] | Sequence[str]) -> None:
    """Like `explore`, for what frames cannot hold: a kernel draws each picture when it is asked for.

    So the values may be as many and `draw` as slow as you please. The controls are ipywidgets, which
    are dead once their kernel is gone; what stays is the first picture. Set the environment variable
    AAREN_STATIC=1 where notebooks are run to be stored: then the picture stands alone.

    Args:
        draw: as for `explore`.
        **controls: as for `explore`, without its limits on the number and the size of frames.

    Raises:
        ValueError, RuntimeError, ImportError: as for `explore`.

    Example:
        >>> def wave(frequency):
        ...     '''A sine wave of frequency {frequency}.'''
        ...     time = np.linspace(0, 1, 500)
        ...     figure, axes = plt.subplots(figsize=(6.4, 2))
        ...     axes.plot(time, np.sin(2 * np.pi * frequency * time))
        ...     return figure
        >>> interact(wave, frequency=[k / 10 for k in range(500)])
    """
    checked = [_control(name, values) for name, values in controls.items()]
    _check_draw(draw, checked)
    checked = _at_defaults(draw, checked)
    frame = functools.partial(_frame, draw, _describer(draw, checked))
    began = time.perf_counter()
    shown = frame({c.name: c.values[c.start] for c in checked})
    live = _live(checked, frame, shown, time.perf_counter() - began)
    given = [f"{c.name}={c.values!r}" for c in checked]
    bundle = {
        "text/plain": f"interact({', '.join([_name(draw), *given])})",
        "image/png": shown.png,
    }
    if live is not None:
        view = {"version_major": 2, "version_minor": 0, "model_id": live.model_id}
        bundle["application/vnd.jupyter.widget-view+json"] = view
    _display(bundle)


class _Control(NamedTuple):
    name: str
    kind: str  # "slider", "choice" or "steps"
    values: list | range
    start: int = 0  # the place of the value that is shown first

    @property
    def label(self):
        return self.name.replace("_", " ")

    @property
    def texts(self):
        short = [
            f"{value:.6g}" if isinstance(value, float) else str(value) for value in self.values
        ]
        return short if len(set(short)) == len(short) else [str(value) for value in self.values]


class _Frame(NamedTuple):
    png: str  # in base64
    width: int
    height: int
    alt: str

    @property
    def tag(self):
        return (
            f'<img src="data:image/png;base64,{self.png}" alt="{html.escape(self.alt)}" '
            f'width="{self.width}" height="{self.height}" style="max-width:100%;height:auto">'
        )


def _control(name, values):
    """Check the values of one control and find its kind."""

    def wrong(expected, way_out):
        return ValueError(f"{name} must {expected}; got {name}={values!r}. {way_out}")

    items = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(items, (list, tuple, range)):
        raise wrong(
            "be a list of values to try, or a range", f"Write for example {name}=[1, 2, 4]."
        )
    steps = isinstance(items, range)
    items = [item.item() if hasattr(item, "item") else item for item in items]
    if len(items) < 2:
        raise wrong("have two values or more", "Add values, or set it inside draw.")
    choice = all(isinstance(item, str) and item.strip() for item in items)
    if not choice and not all(
        isinstance(i, numbers.Real) and not isinstance(i, bool) for i in items
    ):
        way_out = 'Give values of other kinds a name each, such as ["off", "on"].'
        raise wrong("hold numbers only, or strings with a text each", way_out)
    if not choice and not all(math.isfinite(item) for item in items):
        raise wrong("hold finite numbers", "Remove NaN and infinity.")
    if len(set(items)) < len(items):
        raise wrong("hold each value once", "Remove the equal ones.")
    if not choice and items != sorted(items):
        raise wrong("hold increasing numbers", f"Write {name}={sorted(items)}.")
    if choice:
        return _Control(name, "choice", items)
    return _Control(name, "steps", values) if steps else _Control(name, "slider", items)


def _at_defaults(draw, controls):
    """The controls, each at the value that its argument of `draw` has by default."""
    signature, started = inspect.signature(draw), []
    for control in controls:
        default = getattr(signature.parameters.get(control.name), "default", signature.empty)
        values = list(control.values)
        if default is signature.empty:
            default = values[0]
        elif default not in values:
            raise ValueError(
                f"the default of {control.name} must be one of the values to try; got "
                f"{_name(draw)}{signature} for {control.name}={control.values!r}. "
                "Add it to the values, or change it."
            )
        started.append(control._replace(start=values.index(default)))
    return started


def _place(controls):
    """The number of the combination that is shown first, among all in their order."""
    return functools.reduce(lambda n, c: n * len(c.values) + c.start, controls, 0)


def _check_draw(draw, controls):
    if not callable(draw):
        raise ValueError(  # noqa: TRY004 bad input is a ValueError everywhere in this package
            f"draw must be a function that returns a matplotlib figure; got {draw!r}. "
            "Pass the function itself, not its result."
        )
    name, first = _name(draw), {c.name: c.values[0] for c in controls}
    if not controls:
        raise ValueError(
            f"explore must have a control; got none. Write explore({name}, temperature=[0.5, 1])."
        )
    try:
        inspect.signature(draw).bind(**first)
    except TypeError as error:
        raise ValueError(
            f"{name} must take the controls and need nothing else; got {', '.join(first)} for "
            f"{name}{inspect.signature(draw)}: {error}. Name the controls after its arguments."
        ) from None


def _check_count(controls):
    count = math.prod(len(c.values) for c in controls)
    if count > MAX_FRAMES:
        sizes = " × ".join(f"{len(c.values)} {c.name}" for c in controls)
        raise ValueError(
            f"the controls must have at most {MAX_FRAMES} combinations; got {count} ({sizes}). "
            "Give them fewer values, or make two figures of it."
        )


def _describer(draw, controls):
    """The function from a combination to the alternative text, which names every control."""
    name = _name(draw)
    doc = (getattr(_inner(draw), "__doc__", None) or "").strip()
    line = doc.splitlines()[0].strip() if doc else name.strip("_").replace("_", " ")

    def describe(values):
        try:
            text = line.format(**values)
            parsed = string.Formatter().parse(line)
            fields = {re.split(r"[.[]", field or "")[0] for _, field, _, _ in parsed}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"the first line of {name}'s docstring must be a text with controls in braces; "
                f"got {line!r}: {type(error).__name__}: {error}. "
                f"Controls are {', '.join(values)}; write other braces twice."
            ) from None
        missing = [c for c in controls if c.name not in fields]
        rest = [f"{c.label} = {c.texts[c.values.index(values[c.name])]}" for c in missing]
        return f"{text} ({', '.join(rest)})" if rest else text

    describe({c.name: c.values[0] for c in controls})
    return describe


def _frame(draw, describe, values):
    """Draw one combination and leave no figure open, or the notebook would show it once more."""
    plt, name = _pyplot(), _name(draw)
    where = ", ".join(f"{key}={value!r}" for key, value in values.items())
    before, figure, drawn = set(plt.get_fignums()), None, None
    try:
        result = draw(**values)
        pair = isinstance(result, tuple) and len(result) == 2
        figure, alt = result if pair else (result, describe(values))
        if isinstance(figure, plt.Figure):
            drawn = _compressed(figure)
    except Exception as error:
        raise RuntimeError(
            f"{name} must draw every combination; at {where} it failed with "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
        if isinstance(figure, plt.Figure):
            plt.close(figure)
    if drawn is None:
        raise ValueError(
            f"{name} must return a matplotlib Figure; got {type(figure).__name__} at {where}. "
            "End it with `return figure`."
        )
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(
            f"{name} must return a text beside its figure; got {alt!r} at {where}. "
            "Say what the figure shows, or return the figure alone."
        )
    return _Frame(*drawn, alt)


def _inner(draw):
    while isinstance(draw, functools.partial):
        draw = draw.func
    return draw


def _name(draw):
    name = getattr(_inner(draw), "__name__", type(draw).__name__)
    return "figure" if name == "<lambda>" else name


def _pyplot():
    return _checks.optional("matplotlib.pyplot", "explore", "widgets")


def _compressed(figure):
    """The figure as (PNG in base64, width, height), with a palette: a third of matplotlib's own."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    with _pyplot().rc_context({"savefig.bbox": "standard"}):  # "tight" frames would differ in size
        figure.savefig(raw, format="png")
    image = Image.open(raw).convert("RGBA")
    opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    opaque = opaque.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    # the quantiser's white is 254; next to a white page that shows
    opaque.putpalette([255 if level > 252 else level for level in opaque.getpalette()])
    opaque.save(small, format="png", optimize=True)
    return base64.b64encode(small.getvalue()).decode(), *image.size


def _page(controls, frames, shown):
    """The HTML form. Equal pictures are stored once, the one shown first in the image itself."""
    files = {shown.png: 0}
    order = [files.setdefault(frame.png, len(files)) for frame in frames]
    spec = {
        "controls": [
            {"label": c.label, "kind": c.kind, "texts": c.texts, "start": c.start} for c in controls
        ],
        "alts": [frame.alt for frame in frames],
    }
    template = Path(__file__).with_name("explore.html").read_text(encoding="utf-8")
    page = string.Template(template).substitute(
        image=shown.tag,
        spec=_json(spec),
        pictures=_json({"files": [None, *list(files)[1:]], "order": order}),
    )
    if len(page) > MAX_BYTES:
        raise ValueError(
            f"the {len(frames)} frames must fit into {MAX_BYTES / 1e6:g} MB of HTML; got "
            f"{len(page) / 1e6:.2f} MB. Give the controls fewer values, or draw smaller figures."
        )
    return page


def _json(value):
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _live(controls, frame, shown, seconds):
    """The ipywidgets form, or None where no kernel would answer it."""
    if os.environ.get("AAREN_STATIC", "0") not in ("", "0"):
        return None
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    picture, inputs, rows = ipywidgets.HTML(shown.tag), {}, []
    for control in controls:
        options = list(zip(control.texts, control.values, strict=True))
        common = {
            "options": options,
            "index": control.start,
            "description": control.label,
            "style": {"description_width": "initial"},
        }
        if control.kind == "choice":
            row = widget = ipywidgets.Dropdown(**common)
        else:
            row = widget = ipywidgets.SelectionSlider(**common, continuous_update=False)
        if control.kind == "steps":
            # no faster than the kernel draws, or pressing pause would stop nothing
            interval = max(700, int(1500 * seconds))
            play = ipywidgets.Play(value=control.start, max=len(options) - 1, interval=interval)
            ipywidgets.link((play, "value"), (widget, "index"))
            row = ipywidgets.HBox([widget, play])
        inputs[control.name] = widget
        rows.append(row)

    def redraw(_):
        try:
            picture.value = frame({name: widget.value for name, widget in inputs.items()}).tag
        except (RuntimeError, ValueError) as error:
            picture.value = f'<pre role="alert">{html.escape(str(error))}</pre>'

    for widget in inputs.values():
        widget.observe(redraw, names="index")
    return ipywidgets.VBox([*rows, picture])


def _display(bundle):
    display = _checks.optional("IPython.display", "explore", "widgets").display
    get_ipython = _checks.optional("IPython", "explore", "widgets").get_ipython
    if get_ipython() is None:
        print(bundle["text/plain"])
    else:
        display(bundle, raw=True)
