"""Linear attention over every prefix: softmax's e^{q·k} replaced by a product of features φ(q)·φ(k).

o_k = φ(q_k)·S / φ(q_k)·z with S = Σ φ(k_i) v_iᵀ and z = Σ φ(k_i): sums that all queries share.

Source: Katharopoulos et al. 2020, "Transformers are RNNs", arXiv 2006.16236, equations 5, 7 and 16 to 20.

Shapes: B batch, T time, H heads, D head size. Inside, time is the third axis: (B, H, T, D).
"""

from typing import NamedTuple

from keras import ops

from aaren._types import Tensor
from aaren.ops.blocks import counted_first, running_total, steps_to_whole
from aaren.ops.state import nonzero

BLOCK = 32  # steps whose pairs are computed as one matrix


class LinearState(NamedTuple):
    """Sums over the tokens seen: `matrix` S = Σ φ(k_i) v_iᵀ (B, H, D, D) and `normaliser` z = Σ φ(k_i) (B, H, D)."""

    matrix: Tensor
    normaliser: Tensor


def feature_map(x: Tensor) -> Tensor:
    """φ(x) = elu(x) + 1: positive, so that attention weights are. Below 0 it is e^x, down to the smallest float."""
    return ops.where(x > 0, x + 1, ops.exp(ops.where(x > 0, ops.zeros_like(x), x)))


def linear_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    state: LinearState,
    *,
    mask: Tensor | None = None,
    causal: bool = True,
) -> tuple[Tensor, LinearState]:
    """Outputs (B, T, H, D) and the last state, for features φ(q), φ(k) and values of shape (B, T, H, D).

    Args:
        state: `LinearState` of what came before.
        mask: (B, T) bool. False: this token is left out, and the last output that counts is repeated.
        causal: True: a token reads the tokens up to itself. False: all of them.

    Example:

    >>> import numpy as np
    >>> from aaren.ops import LinearState, linear_attention
    >>> x, empty = np.ones((1, 3, 1, 1)), LinearState(np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1)))
    >>> outputs, _ = linear_attention(x, x, np.array([2.0, 4.0, 0.0]).reshape(1, 3, 1, 1), empty)
    >>> [float(o) for o in outputs[0, :, 0, 0]]
    [2.0, 3.0, 2.0]
    """
    keys, values = _counted(keys, mask), _counted(values, mask)
    q, k, v = (ops.transpose(part, (0, 2, 1, 3)) for part in (queries, keys, values))
    o, state = (_prefixes if causal else _whole)(q, k, v, state)
    o = ops.transpose(o, (0, 2, 1, 3))
    if mask is not None:
        order, places = counted_first(mask)
        last = ops.take_along_axis(order, ops.maximum(places, 0), axis=1)
        o = ops.take_along_axis(o, last[:, :, None, None], axis=1)
        o = ops.where(places[:, :, None, None] < 0, ops.zeros_like(o), o)
    return o, state


def linear_last(queries, keys, values, state, *, mask=None):
    """The output (B, H, D) at the last token that counts, and the last state: one sum, no prefix is written."""
    keys, values = _counted(keys, mask), _counted(values, mask)
    state = LinearState(
        state.matrix + ops.einsum("bthd,bthe->bhde", keys, values),
        state.normaliser + ops.sum(keys, axis=1),
    )
    if mask is None:
        return read(queries[:, -1], state), state
    order, places = counted_first(mask)
    last = ops.take_along_axis(order, ops.maximum(places[:, -1:], 0), axis=1)
    o = read(ops.take_along_axis(queries, last[:, :, None, None], axis=1)[:, 0], state)
    return ops.where(places[:, -1][:, None, None] < 0, ops.zeros_like(o), o), state


def read(q, state):
    """φ(q)·S / φ(q)·z for one query a head, (B, H, D)."""
    numerator = (q[..., None, :] @ state.matrix)[..., 0, :]
    return numerator / nonzero(ops.sum(q * state.normaliser, axis=-1, keepdims=True))


def _counted(x, mask):
    return x if mask is None else ops.where(mask[:, :, None, None], x, ops.zeros_like(x))


def _whole(q, k, v, state):
    """Every query reads the same two sums."""
    S = state.matrix + ops.swapaxes(k, -1, -2) @ v
    z = state.normaliser + ops.sum(k, axis=2)
    return q @ S / nonzero(q @ z[..., None]), LinearState(S, z)


def _prefixes(q, k, v, state):
    """Pairs inside blocks of time, plus the sums over all blocks before."""
    length = ops.shape(q)[2]
    missing = steps_to_whole(length, BLOCK)
    q, k, v = (ops.pad(part, ((0, 0), (0, 0), (0, missing), (0, 0))) for part in (q, k, v))
    batch, heads, padded, dim = ops.shape(q)
    blocks = (batch, heads, padded // BLOCK, BLOCK, dim)
    q, k, v = (ops.reshape(part, blocks) for part in (q, k, v))

    inside = ops.tril(q @ ops.swapaxes(k, -1, -2))
    S = _running_total(state.matrix, ops.swapaxes(k, -1, -2) @ v)
    z = _running_total(state.normaliser, ops.sum(k, axis=3))
    o = inside @ v + q @ S[:, :, :-1]
    weight = ops.sum(inside, axis=-1, keepdims=True) + q @ z[:, :, :-1, :, None]
    o = ops.reshape(o / nonzero(weight), (batch, heads, padded, dim))
    return o[:, :, :length], LinearState(S[:, :, -1], z[:, :, -1])


def _running_total(first, parts):
    """first, first + parts_1, first + parts_1 + parts_2, ... along the third axis."""
    return running_total(ops.concatenate([first[:, :, None], parts], axis=2), axis=2)
