"""What attention with one query remembers of the tokens that it has seen, and ⊕, which joins two such states.

Source: Feng et al. 2024, "Attention as an RNN", arXiv 2405.13956, §3.1 for the state, §3.2 for ⊕. On maximum and
denominator alone ⊕ is that of Milakov and Gimelshein 2018, arXiv 1805.02867.

Shapes: B batch, H heads, D head size, W steps in a window.
"""

from typing import NamedTuple

import keras
from keras import ops

from aaren import _checks
from aaren._types import Tensor
from aaren.ops.blocks import larger, result_type, unit


class State(NamedTuple):
    """The state (m, u, w). `numerator / denominator` is the output; both are in units of e^maximum.

    Attributes:
        maximum: m (B, H), the largest score so far, less what was forgotten since; -inf when nothing was seen.
        denominator: u (B, H), Σ e^{s_i - m}.
        numerator: w (B, H, D), Σ e^{s_i - m} v_i.

    Source: Feng et al. 2024, §3.1, where the three are called m, c and a (m, u and w in §3.2).
    """

    maximum: Tensor
    denominator: Tensor
    numerator: Tensor

    @property
    def output(self) -> Tensor:
        """The attention output (B, H, D): numerator / denominator, and zeros where nothing was seen."""
        return self.numerator / nonzero(self.denominator)[..., None]


class CompensatedState(NamedTuple):
    """A state whose sums are pairs of floats: what rounding took from u and w stands beside them.

    In float32 a sum of single steps stands still at 2²⁴ equal tokens: each is less than half of the last digit.
    These pairs (Knuth's two-sum) go on past 10⁸ steps. They cost twice the memory and 2 to 3 times the
    arithmetic of a step. `prefix_attention` in chunks needs them no more than forgetting or a window does.

    Attributes:
        maximum, denominator, numerator: as in `State`.
        denominator_rest: (B, H), numerator_rest: (B, H, D); to be added to denominator and numerator.
    """

    maximum: Tensor
    denominator: Tensor
    numerator: Tensor
    denominator_rest: Tensor
    numerator_rest: Tensor

    @property
    def output(self) -> Tensor:
        """The attention output (B, H, D)."""
        return State(
            self.maximum,
            self.denominator + self.denominator_rest,
            self.numerator + self.numerator_rest,
        ).output


class WindowState(NamedTuple):
    """The last W tokens themselves: ⊕ has no inverse, so what leaves a window cannot be subtracted.

    Attributes:
        scores: (B, W, H), oldest first, less what was forgotten since; -inf where there is no token yet.
        values: (B, W, H, D).
    """

    scores: Tensor
    values: Tensor

    @property
    def output(self) -> Tensor:
        """The attention output (B, H, D) over the window."""
        return summed(ops.transpose(self.scores, (0, 2, 1)), self.values).output


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
    return nothing_seen(batch, heads, dim, dtype or result_type(keras.config.floatx()))


def nothing_seen(batch, heads, dim, dtype):
    """`empty_state` of sizes that were checked, or that are known at run time only."""
    return State(
        ops.full((batch, heads), -float("inf"), dtype),
        ops.zeros((batch, heads), dtype),
        ops.zeros((batch, heads, dim), dtype),
    )


def empty_window(batch, heads, dim, window, dtype):
    """The `WindowState` that has seen nothing."""
    return WindowState(
        ops.full((batch, window, heads), -float("inf"), dtype),
        ops.zeros((batch, window, heads, dim), dtype),
    )


def merge(left: State, right: State, *, log_decay: Tensor | None = None) -> State:
    """The operator ⊕: the state of two stretches of tokens, from the state of each.

    Associative, with `empty_state` as its identity. Shards of a long sequence can each run on a machine of
    their own and be merged in order.

    Args:
        left, right: `State`, or a tuple of three arrays of the same shapes; `left` is the earlier one.
        log_decay: (B, H), at most 0: the sum of the right stretch's decays, what it forgets of the left.
            -inf forgets all of it. None: nothing is forgotten.

    Returns:
        `State` of the same shapes.

    Raises:
        ValueError: a part of one state has another shape than that of the other, or a decay is positive.

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
    if log_decay is not None:
        log_decay = _checks.decay(log_decay)
        _checks.shape(log_decay, tuple(left[0].shape), "log_decay", "that of left.maximum")
    return merged(State(*left), State(*right), log_decay)


def merged(left, right, decay=None):
    """`merge` of states that were checked."""
    left, right = cleaned(left), cleaned(right)
    if decay is not None:
        decay = ops.cast(decay, left.maximum.dtype)
        gone = ops.equal(decay, -float("inf"))  # all of it, NaN too
        left = State(
            ops.where(gone, -float("inf"), left.maximum + unit(decay)),
            ops.where(gone, ops.zeros_like(left.denominator), left.denominator),
            ops.where(gone[..., None], ops.zeros_like(left.numerator), left.numerator),
        )
    maximum = larger(left.maximum, right.maximum)
    keep, add = (ops.exp(state.maximum - unit(maximum)) for state in (left, right))
    return State(
        maximum,
        left.denominator * keep + right.denominator * add,
        left.numerator * keep[..., None] + right.numerator * add[..., None],
    )


def with_token(state, score, value, decay=None):
    """The state after one token more, whose own state is (s, 1, v): of any of the three kinds.

    Args:
        score: (B, H); value: (B, H, D); decay: (B, H) or None; -inf where the token begins anew.
    """
    if isinstance(state, WindowState):
        scores, values = state
        if decay is not None:
            decay = decay[:, None]
            gone = ops.equal(decay, -float("inf"))
            scores = ops.where(gone, -float("inf"), scores + unit(decay))
        return WindowState(
            ops.concatenate([scores[:, 1:], score[:, None]], axis=1),
            ops.concatenate([values[:, 1:], value[:, None]], axis=1),
        )
    finite = ops.logical_and(score < float("inf"), ops.all(ops.isfinite(value), axis=-1))
    score = ops.where(finite, score, float("nan"))  # as in the scan: its head is NaN from here on
    token = State(score, ops.ones_like(score), value)
    if isinstance(state, CompensatedState):
        return _compensated(state, token, decay)
    return merged(state, token, decay)


def _compensated(state, token, decay):
    """⊕ with a token, in which the rests of the two sums go along."""
    new = merged(State(*state[:3]), token, decay)
    old = state.maximum if decay is None else state.maximum + decay
    keep, add = ops.exp(old - unit(new.maximum)), ops.exp(token.maximum - unit(new.maximum))
    parts = []
    for total, rest, x, a, b in (
        (state.denominator, state.denominator_rest, token.denominator, keep, add),
        (state.numerator, state.numerator_rest, token.numerator, keep[..., None], add[..., None]),
    ):
        parts.append(_two_sum(_times(total, rest, a), x * b))
    (u, u_rest), (w, w_rest) = parts
    return CompensatedState(new.maximum, u, w, u_rest, w_rest)


def _times(total, rest, factor):
    """(total + rest)·factor as a pair. Both products are rounded alike where the factor is 1, which is nearly always."""
    product = total * factor
    return product, ops.where(
        ops.equal(factor, 1), rest, rest * factor + _product_error(total, factor, product)
    )


def _product_error(a, b, product):
    """a·b - product exactly, by Dekker's splitting."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(x):
    big = x * 4097.0
    high = big - (big - x)
    return high, x - high


def _two_sum(pair, x):
    """(total + rest) + x as a pair again."""
    total, rest = pair
    y = total + x
    part = y - total
    rest = rest + ((total - (y - part)) + (x - part))
    new = y + rest
    return new, rest - (new - y)


def summed(scores, values, first=None):
    """The state of tokens, scores (B, H, T) and values (B, T, H, D), after `first`: one sum over time.

    NaN or +inf among the tokens that count makes their head NaN.
    """
    bad = ops.all(ops.isfinite(values), axis=-1)
    bad = ops.logical_not(ops.transpose(bad, (0, 2, 1)))
    bad = ops.logical_or(bad, ops.logical_not(scores < float("inf")))
    counts = ops.not_equal(scores, -float("inf"))
    spoiled = ops.any(ops.logical_and(bad, counts), axis=-1)
    scores = ops.where(ops.logical_and(counts, ops.logical_not(bad)), scores, -float("inf"))
    values = ops.where(ops.transpose(bad, (0, 2, 1))[..., None], ops.zeros_like(values), values)
    every = (
        scores if first is None else ops.concatenate([first.maximum[..., None], scores], axis=-1)
    )
    maximum = ops.max(every, axis=-1)
    p = ops.exp(scores - unit(maximum)[..., None])
    u = ops.sum(p, axis=-1)
    w = ops.sum(ops.transpose(p, (0, 2, 1))[..., None] * values, axis=1)
    if first is not None:
        kept = ops.exp(first.maximum - unit(maximum))
        u, w = u + first.denominator * kept, w + first.numerator * kept[..., None]
    nan = ops.where(spoiled, float("nan"), ops.zeros_like(maximum))
    return State(maximum + nan, u + nan, w + nan[..., None])


def nonzero(u):
    """The denominator, with 1 in place of the 0 of an empty prefix, whose numerator is 0 too."""
    return ops.where(ops.equal(u, 0), ops.ones_like(u), u)


def cleaned(state):
    """A denominator of 0 means that nothing was seen, whatever the maximum says.

    `keras.layers.RNN.reset_state` fills states with zeros; a maximum of 0 would drown very negative scores.
    """
    empty = ops.equal(state.denominator, 0)
    return State(ops.where(empty, -float("inf"), state.maximum), *state[1:])
