"""Checks of arguments: every error names the argument, what was expected and what came."""

import numbers
import operator

import keras
from keras import ops


def positive_int(value, name):
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"`{name}` must be an integer of at least 1; got {name}={value!r}.")
    return number


def rate(value, name):
    """A dropout rate."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1; got {name}={value!r}.")
    return float(value)


def activation(value, name="activation"):
    try:
        return keras.activations.get(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be the name of a Keras activation (such as 'silu' or 'linear'), a function or None; "
            f"got {name}={value!r}."
        ) from error


def tensor(value, name):
    """A tensor of this backend; symbolic ones pass as they are."""
    if keras.backend.is_keras_tensor(value):
        return value
    try:
        return ops.convert_to_tensor(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be an array of numbers; got {type(value).__name__}: {error}"
        ) from error


def shape(value, expected, name, letters):
    """Compare a tensor's shape with one in which None fits anything."""
    got = tuple(value.shape)
    fits = len(got) == len(expected) and all(
        g is None or e is None or g == e for g, e in zip(got, expected, strict=True)
    )
    if not fits:
        sizes = ", ".join("any" if size is None else str(size) for size in expected)
        raise ValueError(f"`{name}` must have shape {letters} = ({sizes}); got shape {got}.")


def attention_inputs(scores, values, mask, state):
    """The arguments of `prefix_attention`, as tensors whose shapes agree."""
    scores, values = tensor(scores, "scores"), tensor(values, "values")
    shape(scores, (None,) * 3, "scores", "(batch, time, heads)")
    shape(values, (None,) * 4, "values", "(batch, time, heads, dim)")
    shape(
        values,
        (*scores.shape, None),
        "values",
        "(batch, time, heads, dim), the first three as in `scores`,",
    )
    batch, time, heads, dim = (
        a if a is not None else b for a, b in zip((*scores.shape, None), values.shape)
    )
    if mask is not None:
        mask = tensor(mask, "mask")
        shape(mask, (batch, time), "mask", "(batch, time)")
    if state is not None:
        state = three_parts(state, "initial_state")
        shape(state[0], (batch, heads), "initial_state.maximum", "(batch, heads)")
        shape(state[1], (batch, heads), "initial_state.denominator", "(batch, heads)")
        shape(state[2], (batch, heads, dim), "initial_state.numerator", "(batch, heads, dim)")
    return scores, values, mask, state


def two_states(left, right):
    """The arguments of `merge`: two states of the same shapes."""
    left, right = three_parts(left, "left"), three_parts(right, "right")
    for name, a, b in zip(("maximum", "denominator", "numerator"), left, right, strict=True):
        shape(b, tuple(a.shape), f"right.{name}", f"that of left.{name}")
    shape(left[1], tuple(left[0].shape), "left.denominator", "that of left.maximum")
    shape(
        left[2], (*left[0].shape, None), "left.numerator", "that of left.maximum and one axis more,"
    )
    return left, right


def three_parts(state, name):
    """The parts of a state as tensors."""
    if not isinstance(state, (tuple, list)) or len(state) != 3:
        raise ValueError(
            f"`{name}` must be a State: the three arrays (maximum, denominator, numerator); "
            f"got {type(state).__name__}"
            + (f" of length {len(state)}." if hasattr(state, "__len__") else ".")
        )
    parts = ("maximum", "denominator", "numerator")
    return [tensor(part, f"{name}.{label}") for part, label in zip(state, parts, strict=True)]
