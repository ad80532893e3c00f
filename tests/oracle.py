"""What the package must compute, written as plainly as can be: float64, one prefix after the other."""

import keras
import numpy as np

LENGTHS = [1, 2, 7, 8, 9, 63, 500, 1025]


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def prefix_attention(scores, values, mask=None, state=None):
    """Outputs (B, T, H, D) and the final (m, u, w), by the definition."""
    scores, values = np.asarray(scores, "float64"), np.asarray(values, "float64")
    batch, time, heads, dim = values.shape
    m = np.full((batch, heads), -np.inf)
    u, w = np.zeros((batch, heads)), np.zeros((batch, heads, dim))
    if state is not None:
        m, u, w = (np.asarray(part, "float64") for part in state)
    outputs = np.zeros_like(values)
    for t in range(time):
        s = scores[:, t] if mask is None else np.where(mask[:, t, None], scores[:, t], -np.inf)
        new = np.maximum(m, s)
        unit = np.where(np.isinf(new), 0, new)
        old, add = np.exp(m - unit), np.exp(s - unit)
        m, u = new, u * old + add
        w = w * old[..., None] + np.where(add[..., None] > 0, values[:, t], 0) * add[..., None]
        outputs[:, t] = w / np.where(u == 0, 1, u)[..., None]
    return outputs, (m, u, w)


def weights(scores, mask=None):
    """The causal softmax matrix P (B, H, T, T), quadratic."""
    s = np.asarray(scores, "float64").transpose(0, 2, 1)
    if mask is not None:
        s = np.where(mask[:, None], s, -np.inf)
    time = s.shape[-1]
    s = np.where(np.tril(np.ones((time, time), bool)), s[:, :, None, :], -np.inf)
    peak = s.max(-1, keepdims=True)
    e = np.exp(s - np.where(np.isinf(peak), 0, peak))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total)


def gradients(scores, values, upstream, mask=None):
    """Of Σ upstream · outputs with respect to scores and values, by the Jacobian of the softmax."""
    p = weights(scores, mask)
    g, v = (np.asarray(x, "float64").transpose(0, 2, 1, 3) for x in (upstream, values))
    dp = g @ v.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    return ds.sum(-2).transpose(0, 2, 1), (p.swapaxes(-1, -2) @ g).transpose(0, 2, 1, 3)


def autodiff(function, *arrays):
    """Gradients of a scalar function, by the backend's own means."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        return [numpy(g) for g in tape.gradient(result, tensors)]
    if backend == "jax":
        import jax

        gradient = jax.jit(jax.grad(function, tuple(range(len(arrays)))))
        return [numpy(g) for g in gradient(*arrays)]
    import torch

    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    return [numpy(g) for g in torch.autograd.grad(function(*tensors), tensors)]
