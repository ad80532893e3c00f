"""The one gatekeeper: every error names the argument, what was expected, what came, and what to do.

Keras and NumPy are loaded by those checks that need them.
"""

import importlib
import numbers
import operator


def positive_int(value, name, at_least=1):
    try:
        number = operator.index(value)
    except TypeError:
        number = at_least - 1
    if isinstance(value, bool) or number < at_least:
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}; got {name}={value!r}."
        )
    return number


def rate(value, name):
    """A dropout rate."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1; got {name}={value!r}.")
    return float(value)


def choice(value, name, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, choices))}; got {name}={value!r}."
        )
    return value


def optional(module, what, extra):
    """An optional dependency, or an error that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{what} needs {module.partition(".")[0]}, which is missing: pip install "aaren[{extra}]"'
        ) from error


def activation(value, name="activation"):
    import keras

    try:
        return keras.activations.get(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"`{name}` must be the name of a Keras activation (such as 'silu' or 'linear'), a function or None; "
            f"got {name}={value!r}."
        ) from error


def tensor(value, name):
    """A tensor of this backend, of the type that it came in; symbolic ones pass as they are."""
    import keras

    if keras.backend.is_keras_tensor(value):
        return value
    try:
        array = keras.ops.convert_to_tensor(value)
        if keras.backend.standardize_dtype(array.dtype) == "string":
            raise TypeError("TensorFlow would take it as text")
        return array
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
    return value


def sequence(x, name):
    """(B, T) is taken as (B, T, 1): one feature a time step."""
    x = tensor(x, name)
    if len(x.shape) == 2:
        x = x[..., None]
    if len(x.shape) != 3:
        raise ValueError(
            f"The input of {name} must have shape (batch, time, features), or (batch, time) for one feature; "
            f"got shape {tuple(x.shape)}."
        )
    return x


def features(x, expected, name):
    """The last size of the input is the one that the layer was built for."""
    if x.shape[-1] is not None and x.shape[-1] != expected:
        raise ValueError(
            f"{name} was built for {expected} features; got an input with {x.shape[-1]}, of shape {tuple(x.shape)}. "
            "Send inputs of the first size, or make a new layer."
        )


def by_step(value, x, name):
    """A mask or a reset (B, T) for the tokens x (B, T, ...), or None."""
    if value is None:
        return None
    return shape(tensor(value, name), tuple(x.shape)[:2], name, "(batch, time)")


def decay(value):
    """Logarithms of what is kept: at most 0, where the numbers are known already."""
    value = tensor(value, "log_decay")
    largest = _largest(value)
    if largest > 0:
        raise ValueError(
            f"`log_decay` must be at most 0, the logarithm of a share that is kept; got {largest:.4g}. "
            "Give log(share), such as -0.1 for 90 %."
        )
    return value


def _largest(value):
    """The largest number of a tensor, or 0 where it cannot be known yet (symbolic, traced, mapped)."""
    import keras
    import numpy as np

    if keras.backend.is_keras_tensor(value) or _torch_compiles():
        return 0
    try:
        array = keras.ops.convert_to_numpy(value)
    except Exception:  # each backend has an error of its own for a tensor without numbers
        return 0
    return np.nanmax(array, initial=-np.inf)


def _torch_compiles():
    """Whether `torch.compile` reads this code: it takes no numbers out of a tensor."""
    import keras

    if keras.backend.backend() != "torch":
        return False
    import torch

    return torch.compiler.is_compiling()


def attention_inputs(scores, values, mask, state, log_decay, reset, window):
    """The arguments of `prefix_attention`, as tensors whose shapes agree; the state as a list of its parts."""
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
    mask, reset = by_step(mask, scores, "mask"), by_step(reset, scores, "reset")
    if log_decay is not None:
        log_decay = decay(log_decay)
        if len(log_decay.shape) == 1:
            shape(log_decay, (heads,), "log_decay", "(heads,) or (batch, time, heads)")
        else:
            expected = (batch, time, heads)
            shape(log_decay, expected, "log_decay", "(heads,) or (batch, time, heads)")
    if window is not None:
        positive_int(window, "window")
    if state is not None and window is None:
        state = parts(state, "initial_state", "State", ("maximum", "denominator", "numerator"))
        shape(state[0], (batch, heads), "initial_state.maximum", "(batch, heads)")
        shape(state[1], (batch, heads), "initial_state.denominator", "(batch, heads)")
        shape(state[2], (batch, heads, dim), "initial_state.numerator", "(batch, heads, dim)")
    elif state is not None:
        state = parts(state, "initial_state", "WindowState", ("scores", "values"))
        letters = "(batch, window, heads)"
        shape(state[0], (batch, window, heads), "initial_state.scores", letters)
        letters = "(batch, window, heads, dim)"
        shape(state[1], (batch, window, heads, dim), "initial_state.values", letters)
    return scores, values, mask, state, log_decay, reset


def two_states(left, right):
    """The arguments of `merge`: two states of the same shapes."""
    names = ("maximum", "denominator", "numerator")
    left, right = parts(left, "left", "State", names), parts(right, "right", "State", names)
    for name, a, b in zip(names, left, right, strict=True):
        shape(b, tuple(a.shape), f"right.{name}", f"that of left.{name}")
    shape(left[1], tuple(left[0].shape), "left.denominator", "that of left.maximum")
    shape(
        left[2], (*left[0].shape, None), "left.numerator", "that of left.maximum and one axis more,"
    )
    return left, right


def parts(state, name, kind, names):
    """The parts of a state as tensors."""
    if not isinstance(state, (tuple, list)) or len(state) != len(names):
        raise ValueError(
            f"`{name}` must be a {kind}: the {len(names)} arrays ({', '.join(names)}); "
            f"got {type(state).__name__}"
            + (f" of length {len(state)}." if hasattr(state, "__len__") else ".")
        )
    return [tensor(part, f"{name}.{label}") for part, label in zip(state, names, strict=True)]
