"""The colours of the book, and the picture of a model's dropout uncertainty."""

import contextlib
import operator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aaren import _checks
from aaren._types import Tensor

if TYPE_CHECKING:
    import keras  # chapters that compute with NumPy take the colours and need no Keras

COLORS = {
    "score": "#0072B2",
    "value": "#009E73",
    "output": "#D55E00",
    "maximum": "#A66F00",
    "denominator": "#7A4FA3",
    "numerator": "#B5487F",
    "truth": "#333333",
    "aaren": "#D55E00",
    "transformer": "#0072B2",
    "linear": "#009E73",
    "gru": "#7A4FA3",
    "cnn": "#A66F00",
    "rocket": "#555555",
    "light": "#D9D9D9",
}


def plot_hist2d(
    model: "keras.Model",
    inputs: Tensor,
    samples: int = 200,
    axis: int = 0,
    *,
    truth: Tensor | Literal[False] | None = None,
    bins: int = 40,
    batch_size: int = 256,
    colorbar: bool = True,
    ax: Any = None,
) -> tuple[Any, Any]:
    """Draws where the outputs of a model fall when its dropout stays switched on.

    The series is repeated `samples` times and the model is called with `training=True`, so that
    every copy goes through another random thinned network (Monte-Carlo dropout). Each column of
    the picture is the histogram of the outputs at one time step; the line is their mean.

    Args:
        model: a Keras model or layer: `(batch, time, features)` to `(batch, time, outputs)`.
        inputs: one series, `(time, features)` or `(1, time, features)`.
        samples: number of copies, at least 2.
        axis: which output to draw.
        truth: a series `(time,)` to draw beside the mean. `None` draws `inputs[:, axis]` where the
            model has as many outputs as inputs, and nothing where it has not; `False` draws
            nothing.
        bins: number of bins along the values.
        batch_size: copies that the model is given at a time.
        colorbar: whether to draw the scale of the histogram.
        ax: matplotlib axes to draw into. By default, those of a new figure.

    Returns:
        `(figure, axes)`, as matplotlib gives them.

    Example:
        >>> import aaren
        >>> model = aaren.models.ScanRNNAttentionModel(heads=[3], dims=[2], dropout=0.2)
        >>> series = aaren.data.generate_sin(samples=1, seed=0)[..., 0]
        >>> figure, axes = plot_hist2d(model, series, samples=20, axis=0)

    Reference:
        Gal and Ghahramani (2016), arXiv:1506.02142.
    """
    series = _one_series(inputs)
    samples = _checks.positive_int(samples, "samples", 2)
    bins = _checks.positive_int(bins, "bins")
    batch_size = _checks.positive_int(batch_size, "batch_size")
    with _as_it_was(model):
        outputs = _dropout_samples(model, series, samples, batch_size)
    axis = _output_index(axis, outputs.shape[-1])
    time = np.arange(len(series))
    if truth is None and series.shape[-1] == outputs.shape[-1]:
        truth = series[:, axis]
    if truth is not None and truth is not False:
        truth = _line("truth", truth, len(series))
    else:
        truth = None
    outputs = outputs[..., axis]
    shares, edges = _histogram(outputs, truth, bins)

    plt = _checks.optional("matplotlib.pyplot", "plot_hist2d", "plots")
    if ax is None:
        _, ax = plt.subplots()
    mesh = ax.pcolormesh(
        np.arange(len(series) + 1) - 0.5,
        edges,
        np.ma.masked_equal(shares, 0),
        cmap="Blues",
        vmin=0,
        rasterized=True,
    )
    if truth is not None:
        ax.plot(time, truth, color=COLORS["truth"], linestyle="--", linewidth=1.5, label="truth")
    ax.plot(
        time, outputs.mean(0), color=COLORS["output"], linestyle="-", linewidth=1.5, label="mean"
    )
    ax.set(xlabel="time step", ylabel=f"output {axis}")
    ax.legend(loc="lower left", ncols=2)
    if colorbar:
        ax.figure.colorbar(mesh, ax=ax, label="share of samples")
    return ax.figure, ax


@contextlib.contextmanager
def _as_it_was(model):
    """Put back what a call with `training=True` changes beside the dropout's seeds: batch statistics, kept states."""
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else []
    kept = [variable for layer in layers for variable in (getattr(layer, "states", None) or [])]
    kept += [v for v in getattr(model, "non_trainable_variables", []) if "seed" not in v.path]
    before = [(variable, variable.numpy().copy()) for variable in kept]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)


def _dropout_samples(model, series, samples, batch_size):
    """Calls the model with dropout on: `(samples, time, outputs)`."""
    from keras import ops

    parts = []
    for start in range(0, samples, batch_size):
        copies = np.repeat(series[None], min(batch_size, samples - start), axis=0)
        part = ops.convert_to_numpy(model(copies, training=True))
        if part.ndim != 3 or part.shape[:2] != copies.shape[:2]:
            raise ValueError(
                "`model` must map (batch, time, features) to (batch, time, outputs), "
                "one output a time step (return_sequences=True); "
                f"got {copies.shape} mapped to {part.shape}."
            )
        parts.append(part)
    return np.concatenate(parts).astype("float64")


def _histogram(outputs, truth, bins):
    """Shares of the samples, `(bins, time)`, and the edges of the bins."""
    lines = outputs if truth is None else np.concatenate([outputs, truth[None]])
    if not np.isfinite(lines).all():
        raise ValueError(
            "model gave outputs, or truth has values, that are not finite: nothing can be drawn"
        )
    edges = np.histogram_bin_edges(lines, bins)
    columns = [np.histogram(column, edges)[0] for column in outputs.T]
    return np.stack(columns, axis=1) / len(outputs), edges


def _one_series(inputs):
    from keras import ops

    series = ops.convert_to_numpy(inputs)
    if series.ndim == 3 and len(series) == 1:
        series = series[0]
    if series.ndim != 2 or not series.size:
        raise ValueError(
            "`inputs` must be one series of shape (time, features) or (1, time, features); "
            f"got shape {series.shape}. Of a batch, pass one: inputs[0]."
        )
    return series


def _line(name, values, length):
    from keras import ops

    line = np.asarray(ops.convert_to_numpy(values), "float64")
    if line.shape != (length,):
        raise ValueError(
            f"`{name}` must have shape ({length},), one value a time step; got {line.shape}."
        )
    return line


def _output_index(axis, outputs):
    try:
        index = operator.index(axis)
    except TypeError:
        index = outputs
    if not -outputs <= index < outputs:
        raise ValueError(
            f"`axis` must be the index of one of the model's {outputs} outputs, 0 to {outputs - 1}; "
            f"got axis={axis!r}."
        )
    return index % outputs
