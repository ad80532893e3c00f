"""Softmax attention over every prefix of a sequence, in one pass.

For one query, the attention output after token k is a weighted mean of the values seen so far,

    o_k = Σ_{i≤k} e^{s_i} v_i / Σ_{i≤k} e^{s_i},

and three numbers carry all that later tokens need: the state (m, u, w) of `aaren.ops.state`. ⊕ is associative, so
all prefixes are one prefix scan; `aaren.ops.blocks` computes it.

Forgetting is the same softmax. With g_k ≤ 0, the logarithm of what is kept of the past when token k arrives, and
G_k = g_1 + … + g_k, token i has in prefix k the score s_i + G_k - G_i. A reset is g_k = -∞.

A window is two scans and one merge (van Herk 1992; Gil and Werman 1993): cut time into blocks of W; every window
is the end of one block and the beginning of the next.

Source: Feng et al. 2024, "Attention as an RNN", arXiv 2405.13956, §3.2; for g, Lin et al. 2025, arXiv 2503.02130.

Shapes: B batch, T time, H heads, D head size, W steps in a window. Inside, time is the third axis: (B, H, T, D).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, overload

import keras
from keras import ops

from aaren import _checks
from aaren._types import Tensor
from aaren.ops import blocks
from aaren.ops.autodiff import with_backward
from aaren.ops.state import (
    State,
    WindowState,
    cleaned,
    empty_window,
    merged,
    nonzero,
    nothing_seen,
    summed,
)


@overload
def prefix_attention(
    scores: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    initial_state: Sequence[Tensor] | None = None,
    return_state: Literal[False] = False,
    log_decay: Tensor | None = None,
    reset: Tensor | None = None,
    window: int | None = None,
) -> Tensor: ...


@overload
def prefix_attention(
    scores: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    initial_state: Sequence[Tensor] | None = None,
    return_state: Literal[True],
    log_decay: Tensor | None = None,
    reset: Tensor | None = None,
    window: int | None = None,
) -> tuple[Tensor, State | WindowState]: ...


def prefix_attention(
    scores,
    values,
    *,
    mask=None,
    initial_state=None,
    return_state=False,
    log_decay=None,
    reset=None,
    window=None,
):
    """Softmax attention of one query per head over every prefix of a sequence.

    `outputs[:, k]` is the softmax of `scores[:, :k + 1]` times `values[:, :k + 1]`, for all k at once, in
    O(T) time and memory, forward and backward. Right to rounding for scores of any size.

    Args:
        scores: (B, T, H), the query's score for each token: s_i = q·k_i / √d.
        values: (B, T, H, D).
        mask: (B, T) bool. False: this step leaves the state as it is; it neither adds nor forgets.
        initial_state: the state of the tokens that came before, for sequences that arrive in pieces: a `State`,
            or with `window` the `WindowState` that the same window gave.
        return_state: whether to return the state after the last token too.
        log_decay: (H,) or (B, T, H), at most 0: the logarithm of what is kept of the past when a token arrives.
            Small ones and huge ones may be mixed: none takes digits from another.
        reset: (B, T) bool. True: this token begins anew; what came before is gone.
        window: only the last `window` tokens count (those that are not masked), in O(T) for any window.

    Returns:
        outputs (B, T, H, D) in the type of `values`; a prefix with nothing in it gives zeros. With
        `return_state`, the pair (outputs, `State`), or `WindowState` with a window. States are float32, or
        float64 for float64 input. A token whose score is NaN or +inf, or whose values are not finite, makes its
        head NaN from there on, until a reset or until it has left the window.

    Raises:
        ValueError: a wrong rank, sizes that do not agree, a positive decay, a window below 1.

    Derivatives: of first and second order on every backend, in closed form the first. Reverse mode only: JAX's
    `jvp` and `jacfwd`, and PyTorch's forward mode, raise an error of theirs; `jacrev`, `hessian`, `vmap`,
    `torch.func.grad` and `jacrev`, hooks on saved tensors and checkpointing work. `torch.compile` does
    not take it with fullgraph=True: it stops at Keras's `max`.

    Example:

    >>> import aaren, numpy as np
    >>> scores = np.zeros((1, 4, 1))                        # equal scores: a running mean
    >>> values = np.array([2.0, 4.0, 0.0, 10.0]).reshape(1, 4, 1, 1)
    >>> outputs = aaren.prefix_attention(scores, values)
    >>> [float(o) for o in outputs[0, :, 0, 0]]
    [2.0, 3.0, 2.0, 4.0]
    >>> outputs = aaren.prefix_attention(scores, values, window=2)
    >>> [float(o) for o in outputs[0, :, 0, 0]]
    [2.0, 3.0, 2.0, 5.0]

    Source: Feng et al. 2024, §3.2 (many-to-many attention by prefix scan).
    """
    inputs = _checks.attention_inputs(scores, values, mask, initial_state, log_decay, reset, window)
    return PrefixAttention(return_state, window)(*inputs)


def last_state(
    scores: Tensor,
    values: Tensor,
    *,
    mask: Tensor | None = None,
    initial_state: Sequence[Tensor] | None = None,
    log_decay: Tensor | None = None,
    reset: Tensor | None = None,
    window: int | None = None,
) -> State | WindowState:
    """The state after the last token alone: a sum over the tokens, which writes no prefix.

    Arguments, result and errors are those of `prefix_attention(..., return_state=True)`.

    Example:

    >>> import numpy as np
    >>> from aaren.ops import last_state
    >>> state = last_state(np.zeros((1, 4, 1)), np.array([2.0, 4.0, 0.0, 10.0]).reshape(1, 4, 1, 1))
    >>> float(state.output[0, 0, 0])
    4.0

    Source: Feng et al. 2024, §3.1 (many-to-one attention).
    """
    inputs = _checks.attention_inputs(scores, values, mask, initial_state, log_decay, reset, window)
    return LastState(window)(*inputs)


class _Attention(keras.Operation):
    """A node of a functional Keras model over (scores, values, mask, state, log_decay, reset)."""

    def __init__(self, window=None, *, name=None):
        super().__init__(name=name)
        self.window = window

    def state_spec(self, scores, values):
        dtype = blocks.result_type(scores.dtype, values.dtype)
        batch, _, heads, dim = values.shape
        if self.window is not None:
            shapes = (batch, self.window, heads), (batch, self.window, heads, dim)
            return WindowState(*(keras.KerasTensor(shape, dtype) for shape in shapes))
        shapes = (batch, heads), (batch, heads), (batch, heads, dim)
        return State(*(keras.KerasTensor(shape, dtype) for shape in shapes))

    def get_config(self):
        return {"window": self.window, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("aaren")
class PrefixAttention(_Attention):
    """`prefix_attention` of arguments that were checked."""

    def __init__(self, return_state=False, window=None, *, name=None):
        super().__init__(window, name=name)
        self.return_state = return_state

    def call(self, scores, values, mask=None, state=None, log_decay=None, reset=None):
        dtype = values.dtype if keras.backend.is_float_dtype(values.dtype) else None
        tokens = _tokens(scores, values, mask, state, log_decay, reset)
        if self.window is None:
            outputs = _whole(tokens, state)
        else:
            outputs = _windowed(tokens, state, self.window)
        outputs = ops.cast(outputs, dtype or tokens.dtype)
        if not self.return_state:
            return outputs
        return outputs, _last(tokens, state, self.window)

    def compute_output_spec(
        self, scores, values, mask=None, state=None, log_decay=None, reset=None
    ):
        spec = self.state_spec(scores, values)
        floating = keras.backend.is_float_dtype(values.dtype)
        outputs = keras.KerasTensor(values.shape, values.dtype if floating else spec[0].dtype)
        return (outputs, spec) if self.return_state else outputs

    def get_config(self):
        return {**super().get_config(), "return_state": self.return_state}


@keras.saving.register_keras_serializable("aaren")
class LastState(_Attention):
    """`last_state` of arguments that were checked."""

    def call(self, scores, values, mask=None, state=None, log_decay=None, reset=None):
        tokens = _tokens(scores, values, mask, state, log_decay, reset)
        return _last(tokens, state, self.window)

    def compute_output_spec(self, scores, values, *_, **__):
        return self.state_spec(scores, values)


# -- what is given, in one type and one shape ------------------------------------------------------------


class _Tokens(NamedTuple):
    """Masked tokens have the score -inf, values of 0 and a decay of 0; a reset is a decay of -inf."""

    scores: Tensor  # (B, H, T)
    values: Tensor  # (B, T, H, D)
    decays: Tensor | None  # (B or 1, H, T)
    mask: Tensor | None  # (B, T)

    @property
    def dtype(self):
        return self.scores.dtype

    def scan(self, state):
        """Outputs, denominators and maxima of every prefix, time as the third axis."""
        return scan(self.scores, ops.transpose(self.values, (0, 2, 1, 3)), self.decays, state)


def _tokens(scores, values, mask, state, log_decay, reset):
    dtypes = [x.dtype for x in (scores, values, *(state or ()))]
    dtype = blocks.result_type(*dtypes)
    scores = ops.transpose(ops.cast(scores, dtype), (0, 2, 1))
    values = ops.cast(values, dtype)
    g = None if log_decay is None else ops.cast(log_decay, dtype)
    if g is not None:
        per_head = len(g.shape) == 1
        over_time = ops.zeros_like(scores[:1])
        g = g[None, :, None] + over_time if per_head else ops.transpose(g, (0, 2, 1))
    if reset is not None:
        g = ops.zeros_like(scores) if g is None else g
        g = ops.where(ops.cast(reset, "bool")[:, None], -float("inf"), g)
    if mask is not None:
        mask = ops.cast(mask, "bool")
        scores = ops.where(mask[:, None], scores, -float("inf"))
        values = ops.where(mask[:, :, None, None], values, ops.zeros_like(values))
        g = None if g is None else ops.where(mask[:, None], g, ops.zeros_like(g))
    return _Tokens(scores, values, g, mask)


# -- every prefix ----------------------------------------------------------------------------------------


def _whole(tokens, state):
    """Outputs (B, T, H, D) over all that came before."""
    outputs, _, _ = tokens.scan(state)
    return ops.transpose(outputs, (0, 2, 1, 3))


def _windowed(tokens, state, window):
    """Outputs (B, T, H, D) over the last `window` tokens: the end of one block, the beginning of the next."""
    before, places = 0, None
    if state is not None or tokens.mask is not None:
        tokens, before = _after_window(tokens, state, window), window
    if tokens.mask is not None:
        tokens, places = _compacted(tokens)
    length = ops.shape(tokens.scores)[2]
    if isinstance(length, int) and length <= window:
        outputs, _, _ = tokens.scan(None)
    else:
        outputs = _two_scans(tokens, length, window)
    if places is not None:
        outputs = ops.take_along_axis(outputs, places[:, None, :, None], axis=2)
    return ops.transpose(outputs[:, :, before:], (0, 2, 1, 3))


def _two_scans(tokens, length, window):
    """Outputs (B, H, T, D): of the beginnings of blocks of W, of their ends, and one merge for each step."""
    missing = blocks.steps_to_whole(length, window)
    s = blocks.fill_up(tokens.scores, missing, -float("inf"))
    v = blocks.fill_up(ops.transpose(tokens.values, (0, 2, 1, 3)), missing)
    g = None if tokens.decays is None else blocks.fill_up(tokens.decays, missing)
    batch, heads, total, dim = ops.shape(v)
    count = total // window

    def rows(x):  # a block of time is a row of its own
        shape = ops.shape(x)
        return ops.reshape(x, (shape[0], heads * count, window, *shape[3:]))

    def back(x):
        shape = ops.shape(x)
        return ops.reshape(x, (shape[0], heads, count, window, *shape[3:]))

    s, v, g = rows(s), rows(v), None if g is None else rows(g)
    beginnings = [back(x) for x in scan(s, v, g, None)]
    later = s if g is None else _less(s, _after(g))
    ends = [back(ops.flip(x, 2)) for x in scan(ops.flip(later, 2), ops.flip(v, 2), None, None)]

    def of_block_before(x, nothing):
        # step j meets the end that begins at j + 1: none at the last step, and none in the first block
        x = ops.concatenate([x[:, :, :, 1:], ops.full_like(x[:, :, :, :1], nothing)], axis=3)
        return ops.concatenate([ops.full_like(x[:, :, :1], nothing), x[:, :, :-1]], axis=2)

    nothing = (0.0, 0.0, -float("inf"))
    ends = [of_block_before(x, fill) for x, fill in zip(ends, nothing, strict=True)]
    left, right = (State(m, u, o * u[..., None]) for o, u, m in (ends, beginnings))
    forgotten = None if g is None else back(blocks.sums_up_to(g)) + ops.zeros_like(left.maximum)
    outputs = merged(left, right, forgotten).output
    return ops.reshape(outputs, (batch, heads, total, dim))[:, :, :length]


def _after_window(tokens, state, window):
    """The tokens with those of a `WindowState` before them."""
    batch, _, heads, dim = ops.shape(tokens.values)
    before = state or empty_window(batch, heads, dim, window, tokens.dtype)
    scores = ops.transpose(ops.cast(before[0], tokens.dtype), (0, 2, 1))
    g, mask = tokens.decays, tokens.mask
    if g is not None:
        g = ops.pad(g, ((0, 0), (0, 0), (window, 0)))
    if mask is not None:
        mask = ops.pad(mask, ((0, 0), (window, 0)), constant_values=True)
    return _Tokens(
        ops.concatenate([scores, tokens.scores], axis=2),
        ops.concatenate([ops.cast(before[1], tokens.dtype), tokens.values], axis=1),
        g,
        mask,
    )


def _compacted(tokens):
    """The tokens with the masked ones moved to the end, and for each step the place of the last that counts."""
    order, places = blocks.counted_first(tokens.mask)
    g = tokens.decays
    if g is not None:
        g = ops.take_along_axis(g + ops.zeros_like(tokens.scores), order[:, None], axis=2)
    compacted = _Tokens(
        ops.take_along_axis(tokens.scores, order[:, None], axis=2),
        ops.take_along_axis(tokens.values, order[:, :, None, None], axis=1),
        g,
        None,
    )
    return compacted, places


def _latest(tokens, window):
    """The last W tokens that count."""
    compacted, places = _compacted(tokens)
    take = places[:, -1:] + ops.cast(ops.arange(1 - window, 1), places.dtype)
    g = compacted.decays
    return _Tokens(
        ops.take_along_axis(compacted.scores, take[:, None], axis=2),
        ops.take_along_axis(compacted.values, take[:, :, None, None], axis=1),
        None if g is None else ops.take_along_axis(g, take[:, None], axis=2),
        None,
    )


# -- the last state --------------------------------------------------------------------------------------


def _last(tokens, state, window):
    """The state after the last token: a sum in which each token has forgotten what came after it."""
    if window is not None:
        tokens = _after_window(tokens, state, window)
        if tokens.mask is not None:
            tokens = _latest(tokens, window)
    scores, g = tokens.scores, tokens.decays
    if g is not None:
        scores = _less(scores, _after(g))
    if window is not None:
        scores = ops.transpose(scores, (0, 2, 1))
        return WindowState(scores[:, -window:], tokens.values[:, -window:])
    first = _first(scores, tokens.values, state)
    if g is not None:
        first = merged(
            first, State(*map(ops.zeros_like, first)), ops.sum(g, -1) + ops.zeros_like(first[0])
        )
    return summed(scores, tokens.values, first)


def _after(g):
    """What is forgotten of each token by the end: Σ_{l>i} g_l, for g (B, H, T)."""
    return blocks.sums_from(ops.pad(g[:, :, 1:], ((0, 0), (0, 0), (0, 1))))


def _less(scores, forgotten):
    """s + Σ g, and -inf where a reset follows, whatever s is."""
    gone = ops.equal(forgotten, -float("inf"))
    return ops.where(gone, -float("inf"), scores + blocks.unit(forgotten))


def _first(scores, values, state):
    """The state before the first token, in the scores' type; time is the last axis of the scores."""
    if state is None:
        batch, heads = ops.shape(scores)[:2]
        return nothing_seen(batch, heads, ops.shape(values)[-1], scores.dtype)
    return cleaned(State(*(ops.cast(part, scores.dtype) for part in state)))


# -- the scan and its backward pass ------------------------------------------------------------------------


def scan(s, v, g, state):
    """Outputs (B, H, T, D), denominators and maxima (B, H, T) of every prefix, for s (B, H, T) and v (B, H, T, D).

    The maximum is a constant: outputs do not depend on it, and e^maximum times the denominator is what it must be.
    """
    first = _first(s, v, state)
    length = ops.shape(s)[2]
    inputs = [blocks.padded(s, -float("inf")), blocks.padded(v), *first]
    if g is not None:
        inputs.append(blocks.padded(g))
    o, u, m = _forward_and_backward(*inputs)
    return o[:, :, :length], u[:, :, :length], ops.stop_gradient(m[:, :, :length])


def _forward(s, v, m0, u0, w0, g=None):
    s, v, bad = _without_bad(s, v)
    spoiled = ops.isnan(m0 + u0 + ops.sum(w0, axis=-1))
    nan = blocks.poison(s.dtype)
    m = blocks.running_max(ops.where(bad, nan, s), g, ops.where(spoiled, nan, m0))
    m = ops.stop_gradient(ops.where(m > nan / 2, float("inf"), m))  # in second derivatives too
    m0, u0, w0 = _without_spoiled(spoiled, m0, u0, w0)
    u, w = blocks.running_sums(s, m, g, [ops.ones_like(s)[..., None], v], m0, [u0[..., None], w0])
    u = ops.where(ops.equal(m, float("inf")), float("nan"), u[..., 0])
    return w / nonzero(u)[..., None], u, m


def _backward(inputs, outputs, upstream):
    """x̄_i = Σ_{k≥i} e^{s_i + G_k - G_i - m_k} ȳ_k for denominator and numerator; ḡ_l = Σ_{k≥l} (u_k ū_k - s̄_k)."""
    (s, v, m0, u0, w0, *g), (o, u, m), (grad_o, grad_u, _) = inputs, outputs, upstream
    g = g[0] if g else None
    s, v, _ = _without_bad(s, v)
    m0, u0, w0 = _without_spoiled(ops.isnan(m0 + u0 + ops.sum(w0, axis=-1)), m0, u0, w0)
    y = grad_o / nonzero(u)[..., None]
    h = grad_u - ops.sum(y * o, axis=-1)
    (grad_s, grad_v), (grad_u0, grad_w0) = blocks.running_sums_transposed(
        *(s, m, g, [h[..., None], y], m0)
    )
    grad_s = ops.sum(v * grad_v, axis=-1) + grad_s[..., 0]
    grad_u0 = grad_u0[..., 0]
    grad_m0 = u0 * grad_u0 + ops.sum(w0 * grad_w0, axis=-1)
    gradients = grad_s, grad_v, grad_m0, grad_u0, grad_w0
    if g is None:
        return gradients
    grad_g = blocks.sums_from(u * grad_u - grad_s)
    if g.shape[0] == 1:
        grad_g = ops.sum(grad_g, axis=0, keepdims=True)
    return *gradients, grad_g


def _without_bad(s, v):
    """Scores and values without the tokens that are not finite, which poison the maximum instead.

    A matrix product would carry a NaN back to earlier rows of its block, since 0 × NaN is NaN.
    """
    bad = ops.logical_not(ops.logical_and(s < float("inf"), ops.all(ops.isfinite(v), axis=-1)))
    s = ops.where(bad, -float("inf"), s)
    return s, ops.where(bad[..., None], ops.zeros_like(v), v), bad


def _without_spoiled(spoiled, m0, u0, w0):
    empty = ops.zeros_like(u0)
    m0, u0 = ops.where(spoiled, -float("inf"), m0), ops.where(spoiled, empty, u0)
    return m0, u0, ops.where(spoiled[..., None], ops.zeros_like(w0), w0)


# made once, since torch.compile cannot read how it is made
_forward_and_backward = with_backward(_forward, _backward, constants=1)
