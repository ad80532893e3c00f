"""Running maxima and running sums of a sequence, in blocks: no loop over time, and no large differences.

With scores s, decays g ≤ 0 (None: nothing is forgotten) and G_k = Σ_{l≤k} g_l, the state of prefix k needs

    m_k = max_{i≤k} (s_i + G_k - G_i)                   the running maximum,
    y_k = Σ_{i≤k} e^{s_i + G_k - G_i - m_k} x_i         with every factor ≤ 1,

and the backward pass the same sum transposed, x̄_i = Σ_{k≥i} e^{s_i + G_k - G_i - m_k} ȳ_k.

Inside a block of C steps each is a lower-triangular C×C matrix: work that processors are good at. The blocks'
ends are a sequence C times shorter of the same form, whose decays are the blocks' sums. So each function calls
itself on them and folds the result in: O(T·C) work, log_C T levels.

G itself is never formed. It grows with T, and a difference of two large sums has lost its last digits. Within
a block, differences are exact to rounding (`_between`); from block to block, decays are added, never subtracted.

Shapes: B batch, H heads, T time, N blocks, C steps in a block; time is the third axis, (B, H, T, ...). The decays'
first axis may be 1: the same for the whole batch.
"""

import keras
from keras import ops

BLOCK = 16  # steps in a block: 8 to 16 was fastest on CPUs
LEVELS = 6  # depth of the recursion where T is unknown until run time; the last level is one block of any length
GRID = 16.0  # decays are cut into multiples of 1/16, whose sums are exact, and a rest below 1/32
HUGE = 2.0**16  # larger decays are summed apart: beside them the others would lose their digits
MOST = 1e30  # larger decays count as this, so that no sum of a block overflows


def running_max(s, g, m0, level=0):
    """m_k = max over m0 and the scores up to k, each less what was forgotten since; s (B, H, T), m0 (B, H)."""
    length = ops.shape(s)[2]
    s, g = blocked(s, level, repeat_last=True), None if g is None else blocked(g, level)
    m = ops.max(s[..., None, :] + _between(s, g), axis=-1)
    before = m0[:, :, None]
    if not _one_block(s):
        ends = running_max(m[..., -1], _totals(g), m0, level + 1)
        before = ops.concatenate([before, ends[:, :, :-1]], axis=2)
    return flat(larger(m, before[..., None] + _since_start(g)))[:, :, :length]


def running_sums(s, m, g, xs, m0, y0s, level=0):
    """y_k, with e^{m0 + G_k - m_k} y0 added, for each x (B, H, T, ·) and its y0 (B, H, ·)."""
    length = ops.shape(s)[2]
    s, m = blocked(s, level, repeat_last=True), blocked(m, level, repeat_last=True)
    g = None if g is None else blocked(g, level)
    weights = _weights(s, m, g)
    ys = [weights @ blocked(x, level) for x in xs]
    starts, before = m0[:, :, None], [y0[:, :, None] for y0 in y0s]
    if not _one_block(s):
        ends = m[..., -1]
        totals = running_sums(
            *(ends, ends, _totals(g), [y[..., -1, :] for y in ys], m0, y0s, level + 1)
        )
        starts = ops.concatenate([starts, ends[:, :, :-1]], axis=2)
        before = [
            ops.concatenate([y0, y[:, :, :-1]], axis=2)
            for y0, y in zip(before, totals, strict=True)
        ]
    decay = ops.exp(seen(starts)[..., None] - unit(m) + _since_start(g))[..., None]
    ys = [y + decay * y0[..., None, :] for y, y0 in zip(ys, before, strict=True)]
    return [flat(y)[:, :, :length] for y in ys]


def running_sums_transposed(s, m, g, ys, m0, level=0):
    """x_i for each y (B, H, T, ·), and the same sums for what came before: Σ_k e^{m0 + G_k - m_k} y_k."""
    length = ops.shape(s)[2]
    s, m = blocked(s, level, repeat_last=True), blocked(m, level, repeat_last=True)
    g = None if g is None else blocked(g, level)
    ys = [blocked(y, level) for y in ys]
    weights = _weights_transposed(s, m, g)
    xs = [weights @ y for y in ys]
    ends = m[..., -1]
    starts = ops.concatenate([m0[:, :, None], ends[:, :, :-1]], axis=2)
    from_start = ops.exp(seen(starts)[..., None] - unit(m) + _since_start(g))[..., None, :]
    totals = [(from_start @ y)[..., 0, :] for y in ys]
    if not _one_block(s):
        # the state before block n is that after block n - 1: decays move one place on
        decays = None if g is None else ops.pad(_totals(g)[:, :, :-1], ((0, 0), (0, 0), (1, 0)))
        totals, _ = running_sums_transposed(starts, starts, decays, totals, m0, level + 1)
        to_end = ops.exp(seen(s) - unit(ends)[..., None] + _to_end(g))[..., None]
        after = [ops.pad(total[:, :, 1:], ((0, 0), (0, 0), (0, 1), (0, 0))) for total in totals]
        xs = [x + to_end * y[..., None, :] for x, y in zip(xs, after, strict=True)]
    return [flat(x)[:, :, :length] for x in xs], [total[:, :, 0] for total in totals]


def sums_from(x, level=0):
    """Σ_{l≥k} x_l for x (B, H, T): sums over blocks, which round less than one long sum."""
    length = ops.shape(x)[2]
    x = blocked(x, level, fill=True)
    y = ops.flip(running_total(ops.flip(x, -1)), -1)
    if not _one_block(x):
        later = sums_from(y[..., 0], level + 1)[:, :, 1:]
        y = y + ops.pad(later, ((0, 0), (0, 0), (0, 1)))[..., None]
    return flat(y)[:, :, :length]


def sums_up_to(x):
    """Σ_{l≤k} x_l for x (B, H, T)."""
    return ops.flip(sums_from(ops.flip(x, 2)), 2)


def counted_first(mask):
    """For a mask (B, T): the steps that count in order, then the others, (B, T); and for each step the place
    among them of the last that counts, -1 where none has."""
    counts = ops.cast(mask, "int32")
    length = ops.shape(counts)[1]
    order = ops.argsort(ops.arange(length, dtype="int32") - counts * length, axis=1)
    return order, ops.cumsum(counts, axis=1) - 1


# -- what Keras rounds to float32 on JAX and PyTorch, kept in float64 -------------------------------------


def result_type(*dtypes):
    """The type to compute in: float64 if one of them is, else float32, since half precision is too coarse to sum in."""
    return "float64" if "float64" in map(keras.backend.standardize_dtype, dtypes) else "float32"


def larger(a, b):
    return ops.where(a > b, a, b) if result_type(a.dtype) == "float64" else ops.maximum(a, b)


def running_total(x, axis=-1):
    """Σ_{j≤k} x_j along an axis."""
    if result_type(x.dtype) != "float64":
        return ops.cumsum(x, axis)
    if keras.backend.backend() == "torch":
        return x.cumsum(axis)
    return ops.cumsum(x, axis, dtype="float64")


# -- where nothing, or something that is not a number, was seen ------------------------------------------


def poison(dtype):
    """The score of a token that makes all after it NaN: larger than any other, unmoved by decays."""
    return 1e300 if dtype == "float64" else 3e38


def seen(s):
    """Scores as what is weighed: a poisoned one weighs nothing, so that no sum meets it."""
    return ops.where(ops.equal(s, float("inf")), -float("inf"), s)


def unit(m):
    """Maxima as what weights are measured in: 0 for the -inf of an empty prefix, since -inf - (-inf) is NaN.

    `isinf`, since tf2onnx writes other choices as sums of products, and 0 · (-inf) is NaN.
    """
    return ops.where(ops.isinf(m), ops.relu(m), m)


# -- inside a block ------------------------------------------------------------------------------------


def _weights(s, m, g):
    """The block's matrix e^{s_i + G_k - G_i - m_k}, row k, column i ≤ k, and 0 above the diagonal."""
    return ops.exp(seen(s)[..., None, :] - unit(m)[..., :, None] + _between(s, g))


def _weights_transposed(s, m, g):
    """The same with rows and columns exchanged, not transposed: XLA multiplies by a transposed matrix four times slower."""
    between = ops.swapaxes(_between(s, g), -1, -2)
    return ops.exp(seen(s)[..., :, None] - unit(m)[..., None, :] + between)


def _between(s, g):
    """G_k - G_i, row k, column i ≤ k, and -inf above the diagonal and across a reset (g = -inf).

    The sums of multiples of 1/16 are exact, and so are their differences; the rests stay below 1/2. Huge decays
    are summed apart: between steps with none of them between, the difference of that sum is 0.
    """
    step = ops.arange(ops.shape(s)[-1], dtype="int32")
    lower = step[:, None] >= step[None, :]
    if g is None:
        return ops.where(lower, ops.zeros((), s.dtype), -float("inf"))
    shape = ops.shape(g)
    # LiteRT compares arrays of few axes only
    g = ops.reshape(g, (shape[0] * shape[1] * shape[2], shape[3]))
    huge, coarse, fine, resets = (running_total(part) for part in _parts(g))
    differences = _row_minus_column(huge) + _row_minus_column(coarse) + _row_minus_column(fine)
    kept = ops.logical_and(lower, resets[..., :, None] == resets[..., None, :])
    return ops.reshape(ops.where(kept, differences, -float("inf")), (*shape, shape[3]))


def _parts(g):
    """Huge decays, the others as multiples of 1/16, the rests of both, and 1 where there is a reset."""
    reset = ops.equal(g, -float("inf"))
    finite = larger(unit(g), -MOST)
    coarse = ops.stop_gradient(ops.round(finite * GRID) / GRID)
    huge = ops.where(coarse < -HUGE, coarse, ops.zeros_like(coarse))
    return huge, coarse - huge, finite - coarse, ops.cast(reset, g.dtype)


def _row_minus_column(x):
    return x[..., :, None] - x[..., None, :]


def _since_start(g):
    """Σ of the block's decays up to k, k included: what it has forgotten of all before it."""
    return 0.0 if g is None else running_total(g)


def _to_end(g):
    """Σ of the block's decays after i: what is forgotten of token i by its end."""
    if g is None:
        return 0.0
    after = ops.flip(running_total(ops.flip(g[..., 1:], -1)), -1)
    return ops.pad(after, [(0, 0)] * (len(g.shape) - 1) + [(0, 1)])


def _totals(g):
    return None if g is None else ops.sum(g, axis=-1)


# -- cutting time into blocks ---------------------------------------------------------------------------


def padded(x, fill=0.0):
    """(B, H, T, ...) with time filled up to whole blocks."""
    length = ops.shape(x)[2]
    if not isinstance(length, int):
        return fill_up(x, steps_to_whole(length, BLOCK), fill)
    steps, blocks = _cut(length, 0)
    return fill_up(x, steps * blocks - length, fill)


def steps_to_whole(length, block):
    """Steps up to whole blocks. Where T is unknown, it may be 0, and there shall be one block: one step at least."""
    return -length % block if isinstance(length, int) else (length // block + 1) * block - length


def fill_up(x, missing, fill=0.0):
    """(B, H, T, ...) with `missing` steps more at the end."""
    if isinstance(missing, int) and missing == 0:
        return x
    widths = [(0, 0)] * len(x.shape)
    widths[2] = (0, missing)
    return ops.pad(x, widths, constant_values=fill)


def blocked(x, level, repeat_last=False, fill=False):
    """(B, H, T, ...) to (B, H, N, C, ...), filled up with zeros or with the last entry."""
    shape = ops.shape(x)
    steps, blocks = _cut(shape[2], level)
    missing = steps * blocks - shape[2]
    if (level > 0 or fill) and not (isinstance(missing, int) and missing == 0):
        if repeat_last:
            x = ops.concatenate([x, x[:, :, -1:] + ops.zeros((missing,), x.dtype)], axis=2)
        else:
            x = fill_up(x, missing)
    return ops.reshape(x, (*shape[:2], blocks, steps, *shape[3:]))


def flat(x):
    """(B, H, N, C, ...) to (B, H, N·C, ...)."""
    shape = ops.shape(x)
    return ops.reshape(x, (*shape[:2], shape[2] * shape[3], *shape[4:]))


def _one_block(s):
    count = ops.shape(s)[2]
    # no comparison where it is symbolic: an exporter would take its example's for all
    return isinstance(count, int) and count == 1


def _cut(length, level):
    """Steps in a block and number of blocks, for a time axis of this length."""
    if isinstance(length, int):
        blocks = max(1, -(-length // BLOCK))
        return max(1, -(-length // blocks)), blocks
    return (BLOCK, (length + BLOCK - 1) // BLOCK) if level < LEVELS - 1 else (length, 1)
