"""The core of the package in NumPy, for one sequence: no guards, no forgetting."""

import math

import numpy as np

C = 16  # tokens in a block


def merge(left, right):
    """⊕: two stretches of tokens as one; a single token is the state (s, 1, v)."""
    (m_A, u_A, w_A), (m_B, u_B, w_B) = left, right
    m = np.maximum(m_A, m_B)
    keep, add = np.exp(m_A - m), np.exp(m_B - m)
    return m, u_A * keep + u_B * add, w_A * keep[..., None] + w_B * add[..., None]


def blocked(x, fill):
    """(H, T, ...) to (H, N, C, ...): time in N blocks of C, the last one filled up."""
    widths = [(0, 0), (0, -x.shape[1] % C)] + [(0, 0)] * (x.ndim - 2)
    return np.pad(x, widths, fill).reshape(len(x), -1, C, *x.shape[2:])


def running_sums(s, m, x):
    """y_k = Σ_{i≤k} e^{s_i - m_k} x_i, for s and m (H, T) and x (H, T, X)."""
    length = s.shape[1]
    s, m, x = blocked(s, "edge"), blocked(m, "edge"), blocked(x, "constant")
    lower = np.where(np.tri(C), 0, -np.inf)  # -inf where i > k
    y = np.exp(s[..., None, :] - m[..., :, None] + lower) @ x  # each block alone
    if s.shape[1] > 1:
        ends = m[..., -1]  # the blocks' ends are a shorter sequence of the same form
        totals = running_sums(ends, ends, y[..., -1, :])
        carry = np.exp(ends[:, :-1, None] - m[:, 1:])  # from a block's start to token k
        y[:, 1:] += carry[..., None] * totals[:, :-1, None]
    return y.reshape(len(y), -1, y.shape[-1])[:, :length]


def prefixes(s, v):
    """The states (m, u, w) of all prefixes, for scores (H, T) and values (H, T, D)."""
    m = np.maximum.accumulate(s, axis=1)
    y = running_sums(s, m, np.concatenate([np.ones_like(v[..., :1]), v], axis=-1))
    return m, y[..., 0], y[..., 1:]


def weigh(x, weights):
    """Scores x·κ (H, T) and values x W_v + b (H, T, D), for x (T, F)."""
    q, W_k, W_v, b = weights  # (H, D), (F, H·D), (F, H·D), (H·D,)
    H, D = q.shape
    kappa = (W_k.reshape(-1, H, D) * q).sum(axis=-1) / math.sqrt(D)  # (F, H)
    v = (x @ W_v + b).reshape(-1, H, D)
    return (x @ kappa).T, v.swapaxes(0, 1)


def layer(x, weights, concat_heads=False):
    """All outputs (T, D), the heads' mean, or (T, H·D), the heads side by side."""
    m, u, w = prefixes(*weigh(x, weights))
    o = (w / u[..., None]).swapaxes(0, 1)  # (T, H, D)
    return o.reshape(len(o), -1) if concat_heads else o.mean(axis=1)


def step(x_t, state, weights):
    """One token (F,): the heads' outputs (H, D), and the new state."""
    s, v = weigh(x_t[None], weights)
    m, u, w = merge(state, (s[:, 0], np.ones(len(s)), v[:, 0]))
    return w / u[:, None], (m, u, w)


def norm(x, gamma, beta):
    x = x - x.mean(axis=-1, keepdims=True)
    return gamma * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) + beta


gelu = np.vectorize(lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2)


def block(x, attention, norm_1, W_o, b_o, norm_2, W_1, b_1, W_2, b_2):
    x = x + layer(norm(x, *norm_1), attention, concat_heads=True) @ W_o + b_o
    return x + gelu(norm(x, *norm_2) @ W_1 + b_1) @ W_2 + b_2
