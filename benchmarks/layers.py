"""The layers that are compared, of one size, and a training step of each."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import aaren
from benchmarks import BATCH, DIM, FEATURES, HEADS


def inputs(length, batch=BATCH):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(batch, length, FEATURES)), tf.float32)


def blocked():
    return aaren.layers.Aaren(HEADS, DIM)


class ByAssociativeScan(aaren.layers.Aaren):
    """Aaren with Keras's associative scan in the place of its own."""

    def _run(self, x, state, mask, reset, training):
        scores, values, _ = self.cell.weigh(x, self.compute_dtype)
        return self.cell.combine(associative_scan(scores, values), self.compute_dtype), None


def associative_scan(scores, values):
    """The outputs of `aaren.prefix_attention` by `keras.ops.associative_scan` over triples (m, u, w)."""

    def combine(left, right):
        m = ops.maximum(left[0], right[0])
        a, b = ops.exp(left[0] - m), ops.exp(right[0] - m)
        return m, left[1] * a + right[1] * b, left[2] * a[..., None] + right[2] * b[..., None]

    _, u, w = ops.associative_scan(combine, (scores, ops.ones_like(scores), values), axis=1)
    return w / u[..., None]


def sequential():
    """Aaren as a loop over time."""
    return keras.layers.RNN(aaren.layers.AarenCell(HEADS, DIM), return_sequences=True)


class CausalAttention(keras.layers.Layer):
    """Keras's own multi-head attention, causal."""

    def __init__(self):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(HEADS, DIM)

    def call(self, x):
        return self.attention(x, x, use_causal_mask=True)


def gru():
    return keras.layers.GRU(FEATURES, return_sequences=True)


def lstm():
    return keras.layers.LSTM(FEATURES, return_sequences=True)


# -- a training step: loss and gradients of all weights, which come back as NumPy arrays -----------------------


def keras_step(layer, length, batch=BATCH, xla=True):
    x = inputs(length, batch)
    layer(x[:, :2])

    @tf.function(jit_compile=xla)
    def gradients(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(x) ** 2)
        return tape.gradient(loss, layer.trainable_variables)

    return lambda: [gradient.numpy() for gradient in gradients(x)]


def torch_step(length):
    """PyTorch's fused attention between two projections."""
    import torch

    torch.set_num_threads(tf.config.threading.get_intra_op_parallelism_threads() or 1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.tensor(inputs(length).numpy(), device=device)
    project = torch.nn.Linear(FEATURES, 3 * HEADS * DIM, device=device)
    out = torch.nn.Linear(HEADS * DIM, FEATURES, device=device)
    weights = [*project.parameters(), *out.parameters()]

    def step():
        q, k, v = project(x).unflatten(2, (3, HEADS, DIM)).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = out(y.transpose(1, 2).flatten(2))
        gradients = torch.autograd.grad((y**2).mean(), weights)
        return [gradient.cpu().numpy() for gradient in gradients]

    return step


def loop_step(layer, n):
    """Of GRU or LSTM, in the faster way: XLA makes short loops faster and long ones slower, and has no GPU kernel."""
    return keras_step(layer, n, xla=n < 1024 and not tf.config.list_physical_devices("GPU"))


STEPS = {
    "Aaren, blocked": lambda n: keras_step(blocked(), n),
    # Keras's scan does not compile under XLA on TensorFlow
    "Aaren, associative scan": lambda n: keras_step(ByAssociativeScan(HEADS, DIM), n, xla=False),
    "Aaren, sequential": lambda n: keras_step(sequential(), n),
    "Keras attention": lambda n: keras_step(CausalAttention(), n),
    "PyTorch attention": torch_step,
    "Keras GRU": lambda n: loop_step(gru(), n),
    "Keras LSTM": lambda n: loop_step(lstm(), n),
}
