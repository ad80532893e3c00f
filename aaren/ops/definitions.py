"""What this package must compute, written as plainly as can be: NumPy, float64, one prefix after the other.

Tests and benchmarks compare with it. Nothing here is fast, and nothing here is used by the layers.
"""

import numpy as np


def prefix_attention(
    scores, values, mask=None, state=None, log_decay=None, reset=None, window=None
):
    """Outputs (B, T, H, D) and the final (m, u, w), token by token."""
    scores, values = np.asarray(scores, "float64"), np.asarray(values, "float64")
    batch, time, heads, dim = values.shape
    decays = np.zeros(scores.shape) + (0 if log_decay is None else np.asarray(log_decay, "float64"))
    if reset is not None:
        decays = np.where(reset[:, :, None], -np.inf, decays)
    outputs = np.zeros_like(values)
    if window is not None:
        for b in range(batch):
            for h in range(heads):
                counts = np.arange(time) if mask is None else np.flatnonzero(mask[b])
                for t in range(time):
                    seen = counts[counts <= t][-window:]
                    outputs[b, t, h] = one_window(scores, values, decays, b, seen, h)
        return outputs, None
    m = np.full((batch, heads), -np.inf)
    u, w = np.zeros((batch, heads)), np.zeros((batch, heads, dim))
    if state is not None:
        m, u, w = (np.asarray(part, "float64") for part in state)
    for t in range(time):
        s, v, g = scores[:, t], values[:, t], decays[:, t]
        if mask is not None:
            s = np.where(mask[:, t, None], s, -np.inf)
            g = np.where(mask[:, t, None], g, 0)
        new = np.maximum(m + g, s)
        unit = np.where(np.isinf(new), 0, new)
        old, add = np.exp(m + g - unit), np.exp(s - unit)
        m, u = new, u * old + add
        w = w * old[..., None] + np.where(add[..., None] > 0, v, 0) * add[..., None]
        outputs[:, t] = w / np.where(u == 0, 1, u)[..., None]
    return outputs, (m, u, w)


def one_window(scores, values, decays, b, seen, h):
    """The softmax over the tokens `seen` of row b and head h, each less what came after it has forgotten."""
    if not len(seen):
        return np.zeros(values.shape[-1])
    g = decays[b, seen, h]
    after = np.append(np.cumsum(g[:0:-1])[::-1], 0)  # Σ of the decays after each
    s = scores[b, seen, h] + after
    if s.max() == -np.inf:
        return np.zeros(values.shape[-1])
    p = np.exp(s - s.max())
    return p @ values[b, seen, h] / p.sum()


def weights(scores, mask=None, log_decay=None):
    """The causal softmax matrix P (B, H, T, T), quadratic."""
    s = np.asarray(scores, "float64").transpose(0, 2, 1)
    time = s.shape[-1]
    s = np.repeat(s[:, :, None], time, axis=2)
    if log_decay is not None:
        g = (np.zeros(scores.shape) + np.asarray(log_decay, "float64")).transpose(0, 2, 1)
        later = np.tril(np.ones((time, time)), -1)  # row k, column i: token k comes after token i
        s = s + np.cumsum(later * g[..., :, None], axis=-2)
    if mask is not None:
        s = np.where(mask[:, None, None], s, -np.inf)
    s = np.where(np.tril(np.ones((time, time), bool)), s, -np.inf)
    peak = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(np.isinf(peak), 0, peak))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def gradients(scores, values, upstream, mask=None, log_decay=None):
    """Of Σ upstream · outputs with respect to scores, values and decays, by the Jacobian of the softmax."""
    p = weights(scores, mask, log_decay)
    g, v = (np.asarray(x, "float64").transpose(0, 2, 1, 3) for x in (upstream, values))
    dp = g @ v.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))  # row k, column i
    # decay l stands in the exponents of all i < l ≤ k
    time = ds.shape[-1]
    before = np.cumsum(ds, axis=-1)[..., :-1]  # Σ_{i<l}, column l - 1
    dg = np.zeros(ds.shape[:2] + (time,))
    dg[..., 1:] = (np.tril(np.ones((time, time)), -1)[:, :-1] * before).sum(-2)
    by_time = (0, 2, 1)
    return (
        ds.sum(-2).transpose(by_time),
        (p.swapaxes(-1, -2) @ g).transpose(0, 2, 1, 3),
        dg.transpose(by_time),
    )
