"""Figures with controls that live with a kernel, on a static page, and as one picture."""

import base64
import functools
import html
import inspect
import io
import itertools
import json
import math
import numbers
import re
import string
from dataclasses import dataclass
from importlib import resources

MAX_FRAMES = 120
MAX_BYTES = 1_500_000


def explore(draw, /, **controls):
    """Show the figure of `draw` with a control for each of its arguments.

    Every combination of values is drawn ahead, so keep `draw` quick and its figures small, and
    let it depend on its arguments alone: seed whatever is random. What appears is one output in
    four forms, and each front end takes the best that it can show:

    * with a kernel, ipywidgets that call `draw` again when a control moves;
    * on a static page, the same controls in HTML over the frames drawn ahead: no kernel, no network;
    * where neither can run, the first frame as a picture; in a terminal, a line of text.

    Args:
        draw: a function of the controls that returns a matplotlib figure, or a pair
            `(figure, alternative_text)`. The first line of its docstring, formatted with the
            controls, is the picture's alternative text; a control that the line does not name
            is added to it.
        **controls: the values to try, by argument name. A list of increasing numbers becomes a
            slider, a list of strings a choice, a `range` a slider with a play button.
            The first value of each is shown first.

    Raises:
        ValueError: if a control has fewer than two values, equal, unsorted or mixed ones; if `draw`
            does not take the controls or returns no figure; if there are more than
            `MAX_FRAMES` combinations or `MAX_BYTES` of HTML.
        RuntimeError: if `draw` fails; the message names the combination.
        ImportError: if matplotlib or IPython is missing.

    Example:
        >>> def weights(temperature):
        ...     '''Softmax weights at temperature {temperature}.'''
        ...     e = np.exp(np.array([1.0, 2.0, 3.0]) / temperature)
        ...     figure, axes = plt.subplots(figsize=(6.4, 3))
        ...     axes.bar(["a", "b", "c"], e / e.sum())
        ...     return figure
        >>> explore(weights, temperature=[0.25, 0.5, 1, 2, 4])
    """
    figure = _Drawing(draw, [_Control.of(name, values) for name, values in controls.items()])
    frames = figure.frames()
    bundle = {
        "text/plain": str(figure),
        "image/png": frames[0].picture,
        "text/html": _page(figure, frames),
    }
    view = _live(figure, frames[0])
    if view is not None:
        bundle["application/vnd.jupyter.widget-view+json"] = {
            "version_major": 2,
            "version_minor": 0,
            "model_id": view.model_id,
        }
    _display(bundle)


@dataclass(frozen=True)
class _Control:
    name: str
    kind: str  # "slider", "choice" or "steps"
    values: tuple

    @classmethod
    def of(cls, name, values):
        def wrong(what, way_out):
            return ValueError(f"{name} {what}; got {name}={values!r}. {way_out}")

        known = isinstance(values, (list, tuple, range)) or hasattr(values, "tolist")
        items = values.tolist() if hasattr(values, "tolist") else values
        if not known or not hasattr(items, "__len__"):
            raise wrong("must be a list of values to try", f"Write for example {name}=[1, 2, 4].")
        items = [item.item() if hasattr(item, "item") else item for item in items]
        if len(items) < 2:
            raise wrong("needs two values or more", "Add values, or set it inside draw.")
        if all(isinstance(item, str) and item.strip() for item in items):
            if len(set(items)) < len(items):
                raise wrong("must hold each value once", "Remove the values that are equal.")
            return cls(name, "choice", tuple(items))
        if not all(isinstance(i, numbers.Real) and not isinstance(i, bool) for i in items):
            raise wrong(
                "must hold numbers only or non-empty strings only",
                'Values of other kinds can be named by strings, such as ["off", "on"].',
            )
        if not all(math.isfinite(item) for item in items):
            raise wrong("must hold finite numbers", "Remove NaN and infinity.")
        if any(a >= b for a, b in itertools.pairwise(items)):
            raise wrong(
                "must hold increasing numbers, each once", f"Write {name}={sorted(set(items))}."
            )
        return cls(name, "steps" if isinstance(values, range) else "slider", tuple(items))

    @property
    def label(self):
        return self.name.replace("_", " ")

    @property
    def texts(self):
        if self.kind == "choice":
            return list(self.values)
        short = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in self.values]
        return short if len(set(short)) == len(short) else [str(v) for v in self.values]


@dataclass(frozen=True)
class _Frame:
    picture: str  # PNG, base64
    size: tuple
    alt: str

    @property
    def tag(self):
        width, height = self.size
        return (
            f'<img src="data:image/png;base64,{self.picture}" alt="{html.escape(self.alt)}" '
            f'width="{width}" height="{height}" style="max-width:100%;height:auto">'
        )


class _Drawing:
    """The reader's function with its checked controls."""

    def __init__(self, draw, controls):
        if not callable(draw):
            raise ValueError(
                f"draw must be a function that returns a matplotlib figure; got {draw!r}. "
                "Pass the function itself, not its result."
            )
        inner = draw
        while isinstance(inner, functools.partial):
            inner = inner.func
        name = getattr(inner, "__name__", type(inner).__name__)
        self.draw, self.controls = draw, controls
        self.name = "draw" if name == "<lambda>" else name
        self.title = "figure" if name == "<lambda>" else name.strip("_").replace("_", " ")
        if not controls:
            raise ValueError(
                f"explore needs at least one control; got none. Write explore({self.name}, "
                "temperature=[0.5, 1, 2]) with an argument of the function."
            )
        first = {c.name: c.values[0] for c in controls}
        try:
            inspect.signature(draw).bind(**first)
        except TypeError as error:
            raise ValueError(
                f"{self.name} must take the controls {', '.join(first)} and need nothing else; "
                f"got {self.name}{inspect.signature(draw)}: {error}. "
                "Give the controls the names of the function's arguments."
            ) from None
        doc = (getattr(inner, "__doc__", None) or "").strip()
        self.caption = doc.splitlines()[0].strip() if doc else self.title
        self.describe(first)

    def __str__(self):
        values = [f"{c.name}=[{', '.join(c.texts)}]" for c in self.controls]
        return f"explore({', '.join([self.name, *values])})"

    def combinations(self):
        names = [c.name for c in self.controls]
        for values in itertools.product(*(c.values for c in self.controls)):
            yield dict(zip(names, values, strict=True))

    def describe(self, values):
        """The alternative text, which names every control."""
        try:
            text = self.caption.format(**values)
            fields = [field for _, field, _, _ in string.Formatter().parse(self.caption) if field]
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"the first line of {self.name}'s docstring must be alternative text with controls "
                f"in braces ({', '.join(values)}); got {self.caption!r}: "
                f"{type(error).__name__}: {error}. Write other braces twice: {{{{ }}}}."
            ) from None
        named = {re.split(r"[.\[]", field)[0] for field in fields}
        rest = [
            f"{c.label} = {c.texts[c.values.index(values[c.name])]}"
            for c in self.controls
            if c.name not in named
        ]
        return f"{text} ({', '.join(rest)})" if rest else text

    def frame(self, values):
        """Draw one combination and leave no figure open."""
        plt = _pyplot()
        where = ", ".join(f"{name}={value!r}" for name, value in values.items())
        before, figure, picture = set(plt.get_fignums()), None, None
        try:
            result = self.draw(**values)
            pair = isinstance(result, tuple) and len(result) == 2
            figure, alt = result if pair else (result, self.describe(values))
            if isinstance(figure, plt.Figure):
                picture, size = _compressed(figure)
        except Exception as error:
            raise RuntimeError(
                f"{self.name} failed at {where}: {type(error).__name__}: {error}. "
                "Every combination of the controls must draw."
            ) from error
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)
            if isinstance(figure, plt.Figure):
                plt.close(figure)
        if picture is None:
            raise ValueError(
                f"{self.name} must return a matplotlib Figure; got {type(result).__name__} at "
                f"{where}. End it with `return figure`."
            )
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(
                f"{self.name} must return a figure, or a figure and its alternative text; got "
                f"{alt!r} as the text at {where}. Return words, or the figure alone."
            )
        return _Frame(picture, size, alt)

    def frames(self):
        count = math.prod(len(c.values) for c in self.controls)
        if count > MAX_FRAMES:
            sizes = " × ".join(f"{len(c.values)} {c.name}" for c in self.controls)
            raise ValueError(
                f"the controls of {self.name} must have at most {MAX_FRAMES} combinations; got "
                f"{count} ({sizes}). Give them fewer values, or make two figures of it."
            )
        return [self.frame(values) for values in self.combinations()]


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            'explore draws with matplotlib, which is missing: pip install "aaren[widgets]"'
        ) from None
    return plt


def _compressed(figure):
    """The figure as a palette PNG: a third of matplotlib's own, and smaller than its SVG."""
    from PIL import Image

    raw, small = io.BytesIO(), io.BytesIO()
    with _pyplot().rc_context({"savefig.bbox": "standard"}):  # or frames would differ in size
        figure.savefig(raw, format="png")
    image = Image.open(raw).convert("RGBA")
    opaque = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    opaque.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        small, format="png", optimize=True
    )
    return base64.b64encode(small.getvalue()).decode(), image.size


def _page(figure, frames):
    """The HTML of its own: equal pictures are stored once, the first one in the image itself."""
    files = {}
    order = [files.setdefault(frame.picture, len(files)) for frame in frames]
    spec = {
        "controls": [{"label": c.label, "kind": c.kind, "texts": c.texts} for c in figure.controls],
        "alts": [frame.alt for frame in frames],
    }
    template = resources.files("aaren").joinpath("explore.html").read_text(encoding="utf-8")
    page = string.Template(template).substitute(
        title=html.escape(figure.title),
        alt=html.escape(frames[0].alt),
        first=frames[0].picture,
        width=frames[0].size[0],
        height=frames[0].size[1],
        spec=_json(spec),
        pictures=_json({"files": [None, *list(files)[1:]], "order": order}),
    )
    if len(page) > MAX_BYTES:
        raise ValueError(
            f"the {len(frames)} frames of {figure.name} must fit into {MAX_BYTES / 1e6:g} MB of "
            f"HTML; got {len(page) / 1e6:.2f} MB. Give the controls fewer values, or draw "
            "smaller figures (figsize, dpi)."
        )
    return page


def _json(value):
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _live(figure, first):
    """The ipywidgets form, or None where no kernel would answer it."""
    try:
        import ipywidgets
        from IPython import get_ipython
    except ImportError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    return _widget(ipywidgets, figure, first)


def _widget(ipywidgets, figure, first):
    picture = ipywidgets.HTML(value=first.tag)
    inputs, rows = {}, []
    for control in figure.controls:
        options = list(zip(control.texts, control.values, strict=True))
        kind = ipywidgets.Dropdown if control.kind == "choice" else ipywidgets.SelectionSlider
        more = {} if control.kind == "choice" else {"continuous_update": False}
        widget = kind(
            options=options,
            description=control.label,
            style={"description_width": "initial"},
            **more,
        )
        inputs[control.name] = widget
        rows.append(widget)
        if control.kind == "steps":
            play = ipywidgets.Play(min=0, max=len(options) - 1, interval=700)
            ipywidgets.link((play, "value"), (widget, "index"))
            rows[-1] = ipywidgets.HBox([widget, play])

    def redraw(change):
        try:
            frame = figure.frame({name: widget.value for name, widget in inputs.items()})
        except Exception as error:
            picture.value = f'<pre role="alert">{html.escape(str(error))}</pre>'
        else:
            picture.value = frame.tag

    for widget in inputs.values():
        widget.observe(redraw, names="index")
    return ipywidgets.VBox([*rows, picture])


def _display(bundle):
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        raise ImportError(
            'explore shows its figure with IPython, which is missing: pip install "aaren[widgets]"'
        ) from None
    if get_ipython() is None:
        print(bundle["text/plain"])
    else:
        display(bundle, raw=True)
