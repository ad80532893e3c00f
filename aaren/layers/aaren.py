"""Aaren: softmax attention with a learned query, as a layer over sequences and as an RNN cell."""

import math

import keras
from keras import ops

from aaren.layers.base import Cell, SequenceLayer
from aaren.scan import State, empty_state, merge, prefix_attention


class _LearnedQuery:
    """Scores and values of a token, and the state (m, c, a): what the layer and the cell share."""

    def build(self, input_shape):
        self.features = self.features_in(input_shape)
        self.query = self.add_weight(
            name="query",
            shape=(self.heads, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.key_kernel = self.add_kernel("key_kernel", self.features)
        self.value_kernel = self.add_kernel("value_kernel", self.features)
        self.bias = self.add_bias()
        super().build(input_shape)

    def scores_and_values(self, x):
        """s = q·(x W_k) / √d and v = x W_v + b, for x of shape (..., F).

        The query is the same for every token, so q·(x W_k) = x·(W_k q): one product with a vector a head
        takes the place of all keys.
        """
        keys = ops.reshape(self.key_kernel, (self.features, self.heads, self.dim))
        kernel = ops.sum(keys * self.query, axis=-1) / math.sqrt(self.dim)
        scores = ops.matmul(x, ops.cast(kernel, x.dtype))
        return scores, self.project(x, self.value_kernel, self.bias)

    def sequence(self, x, mask, state):
        """All prefixes at once."""
        scores, values = self.scores_and_values(x)
        if self.return_state or self.stateful:
            return prefix_attention(
                scores, values, mask=mask, initial_state=state, return_state=True
            )
        return prefix_attention(scores, values, mask=mask, initial_state=state), None

    def token(self, x_t, state, keep=None):
        """One token more: the state of the token by itself is (s, 1, v)."""
        s, v = (ops.cast(part, self.state_dtype) for part in self.scores_and_values(x_t))
        if keep is not None:
            s, v = (
                ops.where(keep, s, -float("inf")),
                ops.where(keep[..., None], v, ops.zeros_like(v)),
            )
        state = merge(state, State(s, ops.ones_like(s), v))
        return state.output, state

    def empty(self, batch):
        return empty_state(batch, self.heads, self.dim, self.state_dtype)

    def as_state(self, *parts):
        return State(*parts)

    def state_shapes(self, batch):
        return (batch, self.heads), (batch, self.heads), (batch, self.heads, self.dim)


@keras.saving.register_keras_serializable("aaren")
class Aaren(_LearnedQuery, SequenceLayer):
    """Softmax attention over every prefix, with a learned query: an attention layer that is an RNN.

    Head h scores token i by s_i = q_h·(x_i W_k)/√d and gives, for every prefix k, the softmax of s_1 … s_k times
    the values x_i W_v + b. Training runs over all prefixes in parallel; `step` takes one token at a time with
    a state of fixed size.

    Args:
        heads: number of heads H.
        dim: size D of each head.
        activation: name or function, applied after the heads are combined; None is linear.
        concat_heads: False gives the mean of the heads (B, T, D); True puts them side by side (B, T, H·D).
        dropout: rate for the inputs, one mask for all time steps of a sequence (as in `keras.layers.LSTM`).
        recurrent_dropout: rate for what is read from the state, one mask (H, D) for all time steps.
        use_bias: whether values have a bias. (A bias of keys would not change a softmax.)
        kernel_initializer, bias_initializer, kernel_regularizer: as in `keras.layers.Dense`.
        seed: of the dropout masks.
        return_sequences: True gives every prefix's output; False that of the whole sequence, (B, D).
        return_state: also return the final state's parts: maximum (B, H), denominator (B, H), numerator (B, H, D).
        stateful: keep the final state as the first of the next batch, until `reset_state()`.
        **kwargs: of `keras.layers.Layer`: name, dtype, trainable.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this step leaves the state as it is. Keras masks are used and passed on.
        initial_state: what `return_state`, `step` or `get_initial_state` gave.
        training: whether to drop.

    Raises:
        ValueError: an argument out of range, or an input of another shape; the message names it.

    Example:

    >>> import aaren, numpy as np
    >>> layer = aaren.layers.Aaren(heads=2, dim=3)
    >>> x = np.random.rand(1, 5, 4).astype("float32")
    >>> whole = layer(x)                                       # (1, 5, 3), all prefixes in parallel
    >>> state = layer.get_initial_state(batch_size=1)
    >>> for t in range(5):                                     # the same, token by token
    ...     y, state = layer.step(x[:, t], state)
    >>> bool(np.allclose(whole[:, -1], y, atol=1e-6))
    True

    Source: Feng et al. 2024, arXiv 2405.13956, §3.3.
    """


@keras.saving.register_keras_serializable("aaren")
class AarenCell(_LearnedQuery, Cell):
    """One step of `Aaren`, with the same weights in the same order, for `keras.layers.RNN`.

    The state's parts are the running maximum (B, H), the denominator (B, H) and the numerator, flat: (B, H·D).

    Args:
        heads, dim: as in `Aaren`, and so are all its arguments but `return_sequences`, `return_state`, `stateful`.

    Call arguments:
        inputs: (B, F), one token.
        states: the three parts.
        training: whether to drop.
        keep: (B, 1) bool, optional; False: leave the state as it is.

    Returns:
        `(outputs, states)`: outputs (B, D) or (B, H·D), and the new parts.

    Raises:
        ValueError: an argument out of range; the message names it.

    Note: on the JAX backend, `keras.layers.RNN` itself cannot pass a mask to a cell whose output is not its
    first state; `aaren.models.AttentionRNN` and `Aaren` take masks on every backend.

    Example:

    >>> import aaren, keras, numpy as np
    >>> x = np.random.rand(1, 5, 4).astype("float32")
    >>> layer, rnn = aaren.layers.Aaren(2, 3), keras.layers.RNN(aaren.layers.AarenCell(2, 3), return_sequences=True)
    >>> y = layer(x); rnn.build(x.shape); rnn.set_weights(layer.get_weights())
    >>> bool(np.allclose(rnn(x), y, atol=1e-6))
    True

    Source: Feng et al. 2024, §3.1.
    """
