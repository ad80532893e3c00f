"""Softmax attention over every prefix of a sequence, in one pass.

For one query, the attention output after token k is a weighted mean of the values seen so far,

    o_k = Σ_{i≤k} e^{s_i} v_i / Σ_{i≤k} e^{s_i},

and three numbers carry all that later tokens need: the largest score m, the denominator u and the
numerator w, both measured in units of e^m so that nothing overflows. Combining two such states (the
operator ⊕, here `merge`) is associative, so all prefixes are one prefix scan.

`prefix_attention` computes that scan in blocks. Once the running maximum m_k is known, numerator and
denominator are both sums of the form

    y_k = Σ_{i≤k} e^{s_i - m_k} x_i        with every factor ≤ 1.

Inside a block of C steps this is a lower-triangular C×C matrix times the block's x: work that
processors are good at. The blocks' last rows are a sequence C times shorter with the same form, so the
function calls itself on them and folds the result in: O(T·C) work, log_C T levels, no loop over time.
The backward pass is the same sum, transposed: x̄_i = Σ_{k≥i} e^{s_i - m_k} ȳ_k.

Source: Feng et al. 2024, "Attention as an RNN", arXiv 2405.13956: §3.1 for the state, §3.2 for ⊕.

Shapes: B batch, T time, H heads, D head size, N blocks, C steps in a block.
"""

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple, overload

import keras
from keras import ops

from aaren import _checks
from aaren._autodiff import custom_gradient
from aaren._types import Tensor

BLOCK = 16  # steps in a block: 8 to 16 was fastest on CPUs
LEVELS = 6  # depth of the recursion where T is unknown until run time; the last level is one block of any length


class State(NamedTuple):
    """What attention with one query remembers of the tokens that it has seen.

    `numerator / denominator` is the attention output. Both are in units of e^maximum.

    Attributes:
        maximum: (B, H), the largest score so far; -inf when nothing was seen.
        denominator: (B, H), Σ e^{s_i - maximum}.
        numerator: (B, H, D), Σ e^{s_i - maximum} v_i.

    Source: Feng et al. 2024, §3.1, where the three are called m, c and a (m, u and w in §3.2).
    """

    maximum: Tensor
    denominator: Tensor
    numerator: Tensor

    @property
    def output(self) -> Tensor:
        """The attention output (B, H, D): numerator / denominator, and zeros where nothing was seen."""
        return self.numerator / nonzero(self.denominator)[..., None]


def empty_state(batch: int, heads: int, dim: int, dtype: str | None = None) -> State:
    """The state that has seen nothing: the identity of `merge`, (-inf, 0, 0).

    Args:
        batch, heads, dim: sizes B, H and D.
        dtype: floating type; float32, or float64 where that is Keras's default float.

    Returns:
        `State` of shapes (B, H), (B, H) and (B, H, D).

    Raises:
        ValueError: `heads` or `dim` is not an integer ≥ 1.

    Example:

    >>> import aaren
    >>> aaren.empty_state(batch=1, heads=2, dim=3).numerator.shape == (1, 2, 3)
    True
    """
    _checks.positive_int(heads, "heads")
    _checks.positive_int(dim, "dim")
    dtype = dtype or _state_dtype(keras.config.floatx())
    return State(
        ops.full((batch, heads), -float("inf"), dtype),
        ops.zeros((batch, heads), dtype),
        ops.zeros((batch, heads, dim), dtype),
    )


def merge(left: State, right: State) -> State:
    """The operator ⊕: the state of two stretches of tokens, from the state of each.

    Associative, with `empty_state` as its identity. Shards of a long sequence can each run on a machine of
    their own and be merged in order.

    Args:
        left, right: `State`, or a tuple of three arrays of the same shapes; `left` is the earlier one.

    Returns:
        `State` of the same shapes.

    Raises:
        ValueError: a part of one state has another shape than that of the other.

    Example:

    >>> import aaren, numpy as np
    >>> scores, values = np.random.rand(1, 6, 2), np.random.rand(1, 6, 2, 3)
    >>> _, whole = aaren.prefix_attention(scores, values, return_state=True)
    >>> _, first = aaren.prefix_attention(scores[:, :4], values[:, :4], return_state=True)
    >>> _, rest = aaren.prefix_attention(scores[:, 4:], values[:, 4:], return_state=True)
    >>> bool(np.allclose(aaren.merge(first, rest).numerator, whole.numerator))
    True

    Source: Feng et al. 2024, §3.2.
    """
    left, right = _checks.two_states(left, right)
    left, right = (_clean(State(*state)) for state in (left, right))
    maximum = ops.maximum(left.maximum, right.maximum)
    keep, add = (ops.exp(state.maximum - _finite(maximum)) for state in (left, right))
    return State(
        maximum,
        left.denominator * keep + right.denominator * add,
        left.numerator * keep[..., None] + right.numerator * add[..., None],
    )


@overload
def prefix_attention(
    scores: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    initial_state: Sequence[Tensor] | None = None,
    return_state: Literal[False] = False,
) -> Tensor: ...


@overload
def prefix_attention(
    scores: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    initial_state: Sequence[Tensor] | None = None,
    return_state: Literal[True],
) -> tuple[Tensor, State]: ...


def prefix_attention(scores, values, *, mask=None, initial_state=None, return_state=False):
    """Softmax attention of one query per head over every prefix of a sequence.

    `outputs[:, k]` is the softmax of `scores[:, :k + 1]` times `values[:, :k + 1]`, for all k at once, in
    O(T) time and memory, forward and backward. Exact for scores of any size.

    Args:
        scores: (B, T, H), the query's score for each token: s_i = q·k_i / √d.
        values: (B, T, H, D).
        mask: (B, T) bool. False: this step leaves the state as it is.
        initial_state: `State` of the tokens that came before, for sequences that arrive in pieces.
        return_state: whether to return the state after the last token too.

    Returns:
        outputs (B, T, H, D) in the type of `values`; a prefix with nothing in it gives zeros. With
        `return_state`, the pair (outputs, `State`). States are float32, or float64 for float64 input.
        A token whose score is NaN or +inf, or whose values are not finite, makes its head NaN from there on.

    Raises:
        ValueError: a wrong rank, or sizes that do not agree.

    Example:

    >>> import aaren, numpy as np
    >>> scores = np.zeros((1, 4, 1))                        # equal scores: a running mean
    >>> values = np.array([2.0, 4.0, 0.0, 10.0]).reshape(1, 4, 1, 1)
    >>> outputs = aaren.prefix_attention(scores, values)
    >>> [float(o) for o in outputs[0, :, 0, 0]]
    [2.0, 3.0, 2.0, 4.0]

    Source: Feng et al. 2024, §3.2 (many-to-many attention by prefix scan).
    """
    scores, values, mask, state = _checks.attention_inputs(scores, values, mask, initial_state)
    state = None if state is None else State(*state)
    return PrefixAttention(return_state)(scores, values, mask, state)


@keras.saving.register_keras_serializable("aaren")
class PrefixAttention(keras.Operation):
    """`prefix_attention` as a node of a functional Keras model."""

    def __init__(self, return_state=False, *, name=None):
        super().__init__(name=name)
        self.return_state = return_state

    def call(self, scores, values, mask=None, state=None):
        dtypes = [scores.dtype, values.dtype] + [part.dtype for part in state or ()]
        dtype = _state_dtype(keras.backend.result_type(*dtypes))
        outputs_dtype = values.dtype if keras.backend.is_float_dtype(values.dtype) else dtype
        scores, values = ops.cast(scores, dtype), ops.cast(values, dtype)
        if mask is not None:
            mask = ops.cast(mask, "bool")[..., None]
            scores = ops.where(mask, scores, -float("inf"))
            values = ops.where(mask[..., None], values, ops.zeros_like(values))
        if state is None:
            batch, _, heads, dim = ops.shape(values)
            state = empty_state(batch, heads, dim, dtype)
        else:
            state = _clean(State(*(ops.cast(part, dtype) for part in state)))

        outputs, *final = custom_gradient(_attend(self.return_state))(scores, values, *state)
        outputs = ops.cast(outputs, outputs_dtype)
        if not self.return_state:
            return outputs
        return outputs, _differentiable_maximum(scores, state.maximum, State(*final))

    def compute_output_spec(self, scores, values, mask=None, state=None):
        dtype = _state_dtype(keras.backend.result_type(scores.dtype, values.dtype))
        floating = keras.backend.is_float_dtype(values.dtype)
        outputs = keras.KerasTensor(values.shape, values.dtype if floating else dtype)
        if not self.return_state:
            return outputs
        batch, _, heads, dim = values.shape
        shapes = (batch, heads), (batch, heads), (batch, heads, dim)
        return outputs, State(*(keras.KerasTensor(shape, dtype) for shape in shapes))

    def get_config(self):
        return {"return_state": self.return_state, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


# -- the two passes ------------------------------------------------------------------------------------


@functools.cache
def _attend(return_state):
    """The forward pass with its closed-form backward pass; inside, time is the third axis: (B, H, T, D)."""

    def forward(scores, values, m0, u0, w0):
        length = ops.shape(scores)[1]
        s = _padded(ops.transpose(scores, (0, 2, 1)), -float("inf"))
        v = _padded(ops.transpose(values, (0, 2, 1, 3)), 0)
        # A matrix product would carry a NaN back to earlier rows of its block (0 × NaN is NaN), so such tokens
        # are left out of the sums, and the denominators from there on are made NaN.
        bad = ops.logical_or(ops.isnan(s), s == float("inf"))
        bad = ops.logical_or(bad, ops.logical_not(ops.all(ops.isfinite(v), axis=-1)))
        s = ops.where(bad, -float("inf"), s)
        v = ops.where(bad[..., None], ops.zeros_like(v), v)
        peaks = _running_max(ops.concatenate([s, ops.cast(bad, s.dtype)], axis=1))
        m, poisoned = ops.split(peaks, 2, axis=1)
        m = ops.maximum(m, m0[..., None])
        ones = ops.ones_like(s)[..., None]
        u, w = _running_sums(s, m, [ones, v], m0, [u0[..., None], w0])
        u = ops.where(poisoned[..., None] > 0, float("nan"), u)
        o = w / nonzero(u)

        def backward(grad_o, *grad_state):
            g = _padded(ops.transpose(grad_o, (0, 2, 1, 3)), 0) / nonzero(u)
            h = -ops.sum(g * o, axis=-1, keepdims=True)
            if return_state:  # the last denominator and numerator are read at the last step
                _, grad_u, grad_w = grad_state
                g = ops.concatenate([g[:, :, :-1], g[:, :, -1:] + grad_w[:, :, None]], axis=2)
                h = ops.concatenate([h[:, :, :-1], h[:, :, -1:] + grad_u[:, :, None, None]], axis=2)
            (grad_s, grad_v), (grad_u0, grad_w0) = _running_sums_transposed(s, m, [h, g], m0)
            grad_s = ops.sum(v * grad_v, axis=-1) + grad_s[..., 0]
            grad_u0 = grad_u0[..., 0]
            grad_m0 = u0 * grad_u0 + ops.sum(w0 * grad_w0, axis=-1)
            return (
                ops.transpose(grad_s[:, :, :length], (0, 2, 1)),
                ops.transpose(grad_v[:, :, :length], (0, 2, 1, 3)),
                grad_m0,
                grad_u0,
                grad_w0,
            )

        outputs = (ops.transpose(o[:, :, :length], (0, 2, 1, 3)),)
        if return_state:
            outputs += (
                m[:, :, -1] + 0 * u[:, :, -1, 0],
                u[:, :, -1, 0],
                w[:, :, -1] + 0 * u[:, :, -1],
            )
        return outputs, backward

    return forward


def _running_max(s, level=0):
    """m_k = max_{i≤k} s_i, for s of shape (B, H, T)."""
    length = ops.shape(s)[2]
    s = _blocked(s, level, repeat_last=True)
    m = ops.max(ops.where(_lower_triangle(s), s[..., None, :], -float("inf")), axis=-1)
    if not _one_block(s):
        before = _running_max(m[..., -1], level + 1)[:, :, :-1]
        before = ops.pad(before, ((0, 0), (0, 0), (1, 0)), constant_values=-float("inf"))
        m = ops.maximum(m, before[..., None])
    return _flat(m)[:, :, :length]


def _running_sums(s, m, xs, m0, y0s, level=0):
    """y_k = e^{m0 - m_k} y0 + Σ_{i≤k} e^{s_i - m_k} x_i, for each x (B, H, T, ·) and its y0."""
    length = ops.shape(s)[2]
    s, m = _blocked(s, level, repeat_last=True), _blocked(m, level, repeat_last=True)
    weights = _weights(s, m)
    ys = [ops.matmul(weights, _blocked(x, level)) for x in xs]
    m_before, before = m0[:, :, None], [y0[:, :, None] for y0 in y0s]
    if not _one_block(s):
        ends = m[..., -1]
        totals = _running_sums(ends, ends, [y[..., -1, :] for y in ys], m0, y0s, level + 1)
        m_before = ops.concatenate([m_before, ends[:, :, :-1]], axis=2)
        before = [
            ops.concatenate([y0, y[:, :, :-1]], axis=2)
            for y0, y in zip(before, totals, strict=True)
        ]
    decay = ops.exp(m_before[..., None] - _finite(m))[..., None]
    ys = [y + decay * y0[..., None, :] for y, y0 in zip(ys, before, strict=True)]
    return [_flat(y)[:, :, :length] for y in ys]


def _running_sums_transposed(s, m, ys, m0, level=0):
    """x_i = Σ_{k≥i} e^{s_i - m_k} y_k for each y, and the same sums for the initial state: Σ_k e^{m0 - m_k} y_k."""
    length = ops.shape(s)[2]
    s, m = _blocked(s, level, repeat_last=True), _blocked(m, level, repeat_last=True)
    ys = [_blocked(y, level) for y in ys]
    weights = ops.swapaxes(_weights(s, m), -1, -2)
    xs = [ops.matmul(weights, y) for y in ys]
    ends = m[..., -1]
    starts = ops.concatenate([m0[:, :, None], ends[:, :, :-1]], axis=2)
    from_start = ops.exp(starts[..., None] - _finite(m))[..., None, :]
    totals = [ops.matmul(from_start, y)[..., 0, :] for y in ys]
    if not _one_block(s):
        totals, _ = _running_sums_transposed(starts, starts, totals, m0, level + 1)
        to_end = ops.exp(s - _finite(ends)[..., None])[..., None]
        after = [ops.pad(total[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0))) for total in totals]
        xs = [x + to_end * y[..., None, :] for x, y in zip(xs, after, strict=True)]
    return [_flat(x)[:, :, :length] for x in xs], [total[:, :, 0] for total in totals]


# -- helpers -------------------------------------------------------------------------------------------


def _weights(s, m):
    """The block's matrix e^{s_i - m_k}, row k, column i ≤ k; what overflows above the diagonal is dropped."""
    weights = ops.exp(s[..., None, :] - _finite(m)[..., :, None])
    return ops.where(_lower_triangle(s), weights, ops.zeros_like(weights))


def _lower_triangle(s):
    step = ops.arange(ops.shape(s)[-1])
    return step[:, None] >= step[None, :]


def _finite(m):
    """The maximum, with 0 in place of the -inf of an empty prefix: -inf - (-inf) would be NaN."""
    return ops.where(m == -float("inf"), ops.zeros_like(m), m)


def nonzero(u):
    """The denominator, with 1 in place of the 0 of an empty prefix, whose numerator is 0 too."""
    return ops.where(u == 0, ops.ones_like(u), u)


def _one_block(s):
    return s.shape[2] == 1


def _cut(length, level):
    """Steps in a block and number of blocks, for a time axis of this length."""
    if isinstance(length, int):
        blocks = max(1, -(-length // BLOCK))
        return max(1, -(-length // blocks)), blocks
    if level < LEVELS - 1:
        return BLOCK, ops.maximum(1, (length + BLOCK - 1) // BLOCK)
    return ops.maximum(1, length), 1


def _padded(x, fill):
    """(B, H, T, ...) with time filled up to whole blocks."""
    length = ops.shape(x)[2]
    steps, blocks = _cut(length, 0)
    missing = steps * blocks - length
    if isinstance(missing, int) and missing == 0:
        return x
    widths = [(0, 0)] * len(x.shape)
    widths[2] = (0, missing)
    return ops.pad(x, widths, constant_values=fill)


def _blocked(x, level, repeat_last=False):
    """(B, H, T, ...) to (B, H, N, C, ...), filled up with zeros or with the last entry."""
    shape = ops.shape(x)
    steps, blocks = _cut(shape[2], level)
    missing = steps * blocks - shape[2]
    if level > 0 and not (isinstance(missing, int) and missing == 0):  # level 0 comes padded
        if repeat_last:
            x = ops.take(x, ops.minimum(ops.arange(steps * blocks), shape[2] - 1), axis=2)
        else:
            x = ops.pad(x, [(0, 0), (0, 0), (0, missing)] + [(0, 0)] * (len(shape) - 3))
    return ops.reshape(x, (*shape[:2], blocks, steps, *shape[3:]))


def _clean(state):
    """A denominator of 0 means that nothing was seen, whatever the maximum says.

    `keras.layers.RNN.reset_state` fills states with zeros; a maximum of 0 would drown very negative scores.
    """
    empty = state.denominator == 0
    return State(ops.where(empty, -float("inf"), state.maximum), *state[1:])


def _differentiable_maximum(scores, m0, final):
    """The final state as a function of the scores through its maximum too.

    The scan takes maxima as constants, which is exact for its outputs. A state's parts do depend on them, so
    here they are scaled by e^(maximum as a constant - maximum), which is 1 with the right derivative.
    """
    maximum = ops.max(ops.concatenate([m0[:, None], scores], axis=1), axis=1)
    seen = ops.isfinite(final.maximum)
    maximum = ops.where(seen, maximum, final.maximum)
    one = ops.exp(ops.where(seen, ops.stop_gradient(maximum) - maximum, ops.zeros_like(maximum)))
    return State(maximum, final.denominator * one, final.numerator * one[..., None])


def _flat(x):
    shape = ops.shape(x)
    return ops.reshape(x, (*shape[:2], shape[2] * shape[3], *shape[4:]))


def _state_dtype(dtype):
    """Float32 for all but float64: half precision is too coarse to sum in."""
    return "float64" if dtype == "float64" else "float32"
