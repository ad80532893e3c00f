"""Aaren: softmax attention with a learned query, as a layer over sequences and as an RNN cell."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from aaren import _checks
from aaren._types import Activation, Setting, Shape
from aaren.layers.cell import Cell
from aaren.layers.layer import SequenceLayer, _of_cell
from aaren.ops.softmax import LastState, PrefixAttention
from aaren.ops.state import (
    CompensatedState,
    State,
    WindowState,
    empty_state,
    empty_window,
    with_token,
)


@keras.saving.register_keras_serializable("aaren")
class AarenCell(Cell):
    """One step of `Aaren`, with the same weights in the same order, for `keras.layers.RNN`.

    In `keras.layers.RNN` the state's parts are flat: the last output (B, D) or (B, H·D), which masked steps repeat;
    the running maximum (B, H), the denominator (B, H) and the numerator (B, H·D). With a window they are the
    last output, the number of tokens (B, 1), and the window's scores (B, W·H) and values (B, W·H·D).

    Args:
        heads, dim: as in `Aaren`, and so are all its arguments but `return_sequences`, `return_state`, `stateful`
            and `go_backwards`.

    Call arguments:
        inputs: (B, F), one token.
        states: the parts.
        training: whether to drop.

    Returns:
        `(outputs, states)`: outputs (B, D) or (B, H·D), and the new parts. `step(x_t, state, reset)` is the same
        with the states of `Aaren`.

    Raises:
        ValueError: an argument out of range; the message names it.

    Example:

    >>> import aaren, keras, numpy as np
    >>> x = np.random.rand(1, 5, 4).astype("float32")
    >>> layer, rnn = aaren.layers.Aaren(2, 3), keras.layers.RNN(aaren.layers.AarenCell(2, 3), return_sequences=True)
    >>> y = layer(x); rnn.build(x.shape); rnn.set_weights(layer.get_weights())
    >>> bool(np.allclose(rnn(x), y, atol=1e-6))
    True

    Source: Feng et al. 2024, §3.1; for the forget gate, Lin et al. 2025, arXiv 2503.02130.
    """

    def __init__(
        self,
        heads: int,
        dim: int,
        activation: Activation = None,
        concat_heads: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        use_bias: bool = True,
        kernel_initializer: Setting = "glorot_uniform",
        bias_initializer: Setting = "zeros",
        kernel_regularizer: Setting = None,
        seed: int | None = None,
        forget: str | None = None,
        window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(heads, dim, activation, concat_heads, dropout, recurrent_dropout, use_bias),
            *(kernel_initializer, bias_initializer, kernel_regularizer, seed),
            **kwargs,
        )
        self.forget = _checks.choice(forget, "forget", (None, "constant", "gate"))
        self.window = None if window is None else _checks.positive_int(window, "window")

    def build(self, input_shape: Shape) -> None:
        self.features = self.features_in(input_shape)
        normal = keras.initializers.RandomNormal(stddev=1.0)
        self.query = self.add_weight(name="query", shape=(self.heads, self.dim), initializer=normal)
        self.key_kernel = self.add_kernel("key_kernel")
        self.value_kernel = self.add_kernel("value_kernel")
        self.bias = self.add_bias()
        if self.forget == "gate":
            self.forget_kernel = self.add_weight(
                name="forget_kernel",
                shape=(self.features, self.heads),
                initializer=self.kernel_initializer,
                regularizer=self.kernel_regularizer,
            )
        if self.forget:
            self.forget_bias = self.add_weight(
                name="forget_bias", shape=(self.heads,), initializer=_many_spans
            )
        self.built = True

    # -- what a token is -----------------------------------------------------------------------------------

    def weigh(self, x, dtype):
        """Scores s = q·(x W_k)/√D, values v = x W_v + b, and logarithms of what is kept, for x (..., F).

        The query is the same for every token, so q·(x W_k) = x·(W_k q): one product with a vector a head
        takes the place of all keys. Scores stand in exponents, so they are made in full precision.
        """
        exact = ops.cast(x, self.state_dtype)
        scores = exact @ self.score_kernel()
        values = self.project(ops.cast(x, dtype), self.value_kernel, self.bias)
        return scores, values, self.log_decay(exact)

    def score_kernel(self):
        """κ = W_k q / √D for each head, (F, H)."""
        keys = ops.reshape(self.key_kernel, (self.features, self.heads, self.dim))
        kernel = ops.sum(keys * self.query, axis=-1) / math.sqrt(self.dim)
        return ops.cast(kernel, self.state_dtype)

    def log_decay(self, x):
        """g, at most 0: (..., H) from the token ("gate"), (H,) the same for all ("constant"), or None."""
        if self.forget is None:
            return None
        logits = ops.cast(self.forget_bias, self.state_dtype)
        if self.forget == "gate":
            logits = x @ ops.cast(self.forget_kernel, self.state_dtype) + logits
        return ops.log_sigmoid(logits)

    def token(self, tokens, state, reset=None):
        scores, values, decays = tokens
        values = ops.cast(values, self.state_dtype)
        if decays is not None or reset is not None:
            g = ops.zeros_like(scores) if decays is None else decays + ops.zeros_like(scores)
            decays = g if reset is None else ops.where(reset[:, None], -float("inf"), g)
        state = with_token(state, scores, values, decays)
        return state.output, state

    def prefixes(self, tokens, state, mask, reset, return_state=True):
        scores, values, decays = tokens
        attend = PrefixAttention(return_state, self.window)
        outputs = attend(scores, values, mask, self._plain(state), decays, reset)
        return outputs if return_state else (outputs, None)

    def last(self, tokens, state, mask, reset):
        scores, values, decays = tokens
        state = LastState(self.window)(scores, values, mask, self._plain(state), decays, reset)
        return state.output, state

    # -- states ----------------------------------------------------------------------------------------------

    def empty(self, batch, compensated=False):
        if self.window is not None:
            return empty_window(batch, self.heads, self.dim, self.window, self.state_dtype)
        state = empty_state(batch, self.heads, self.dim, self.state_dtype)
        if not compensated:
            return state
        return CompensatedState(*state, ops.zeros_like(state[1]), ops.zeros_like(state[2]))

    def as_state(self, parts):
        if self.window is not None:
            return WindowState(*parts)
        return (CompensatedState if len(parts) == 5 else State)(*parts)

    def state_shapes(self, batch):
        if self.window is not None:
            window = (batch, self.window, self.heads)
            return window, (*window, self.dim)
        return (batch, self.heads), (batch, self.heads), (batch, self.heads, self.dim)

    def shapes_of(self, state, batch):
        """The shapes that the parts of this state must have."""
        shapes = self.state_shapes(batch)
        compensated = self.window is None and isinstance(state, (tuple, list)) and len(state) == 5
        return (*shapes, *shapes[1:]) if compensated else shapes

    def _plain(self, state):
        if not isinstance(state, CompensatedState):
            return state
        m, u, w, u_rest, w_rest = state
        return State(m, u + u_rest, w + w_rest)

    def flat_shapes(self, batch):
        shapes = self.state_shapes(batch)
        return ((batch, 1), *shapes) if self.window is not None else shapes

    def flatten(self, state):
        if self.window is None:
            return list(state)
        held = ops.any(ops.not_equal(state.scores, -float("inf")), axis=-1)  # NaN is held too
        first = ops.argmax(ops.cast(held, "int32"), axis=1)  # the oldest
        count = ops.where(ops.any(held, axis=1), self.window - first, ops.zeros_like(first))
        return [ops.cast(count, self.state_dtype)[:, None], *state]

    def unflatten(self, parts):
        if self.window is None:
            return State(*parts)
        count, scores, values = parts
        age = ops.arange(self.window, 0, -1, dtype=self.state_dtype)
        return WindowState(ops.where((age <= count)[..., None], scores, -float("inf")), values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "forget": self.forget, "window": self.window}


def _many_spans(shape, dtype=None):
    """Biases whose sigmoid keeps e^{-1/n} of the past, n from 1 to 100 over the heads (10 for one head)."""
    spans = np.geomspace(1, 100, shape[0]) if shape[0] > 1 else np.array([10.0])
    return ops.convert_to_tensor(-np.log(np.expm1(1 / spans)), dtype=dtype)


@keras.saving.register_keras_serializable("aaren")
class Aaren(SequenceLayer):
    """Softmax attention over every prefix, with a learned query: an attention layer that is an RNN.

    Head h scores token i by s_i = q_h·(x_i W_k)/√D and gives, for every prefix k, the softmax of s_1 … s_k times
    the values x_i W_v + b. Training runs over all prefixes in parallel; `step` takes one token at a time with
    a state of fixed size.

    Args:
        heads: number of heads H.
        dim: size D of each head.
        activation: name or function, applied after the heads are combined; None is linear.
        concat_heads: False gives the mean of the heads (B, T, D); True puts them side by side (B, T, H·D).
        dropout: rate for the inputs, one mask for all time steps of a sequence (as in `keras.layers.LSTM`).
        recurrent_dropout: rate for what is read from the state, one mask (H, D) for all time steps.
        return_sequences: True gives every prefix's output; False that of the whole sequence, (B, D), by one sum
            that writes no prefix.
        return_state: also return the final state's parts: maximum (B, H), denominator (B, H), numerator
            (B, H, D); with a window, its scores (B, W, H) and values (B, W, H, D).
        stateful: keep the final state as the first of the next batch, until `reset_state()`.
        use_bias: whether values have a bias. (A bias of keys would not change a softmax.)
        kernel_initializer, bias_initializer, kernel_regularizer: as in `keras.layers.Dense`.
        seed: of the dropout masks.
        forget: None: nothing is forgotten; of k tokens with equal scores the newest weighs 1/k. "constant": each head
            keeps a learned share of the past at every token. "gate": a share that it computes from the token.
        window: only the last `window` tokens count.
        go_backwards: take the sequence from its end, as the backward layer in `keras.layers.Bidirectional`.
        **kwargs: of `keras.layers.Layer`: name, dtype, trainable.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this step leaves the state as it is. Keras masks are used and passed on.
        reset: (B, T) bool; True: this token begins anew (the next of several episodes in one row).
        initial_state: what `return_state`, `step` or `get_initial_state` gave.
        training: whether to drop.

    Raises:
        ValueError: an argument out of range, or an input of another shape; the message names it.

    Single steps without forgetting: in float32 the sums of `step` lose the small terms of normal scores from about
    10⁶ tokens on, and stand still at 2²⁴ terms of equal scores. `get_initial_state(batch_size, compensated=True)`
    gives a state whose sums do neither, past 10⁸.

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

    Source: Feng et al. 2024, arXiv 2405.13956, §3.3; for the forget gate, Lin et al. 2025, arXiv 2503.02130.
    """

    def __init__(
        self,
        heads: int,
        dim: int,
        activation: Activation = None,
        concat_heads: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        use_bias: bool = True,
        kernel_initializer: Setting = "glorot_uniform",
        bias_initializer: Setting = "zeros",
        kernel_regularizer: Setting = None,
        seed: int | None = None,
        forget: str | None = None,
        window: int | None = None,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = AarenCell(
            *(heads, dim, activation, concat_heads, dropout, recurrent_dropout, use_bias),
            *(kernel_initializer, bias_initializer, kernel_regularizer, seed, forget, window),
            dtype=kwargs.get("dtype"),
        )
        super().__init__(cell, return_sequences, return_state, stateful, go_backwards, **kwargs)

    forget, window = _of_cell("forget"), _of_cell("window")

    def get_initial_state(
        self, batch_size: int, compensated: bool = False
    ) -> State | WindowState | CompensatedState:
        """The state that has seen nothing.

        Args:
            batch_size: B.
            compensated: a `CompensatedState`, for `step` past 10⁶ tokens without forgetting.
        """
        return self.cell.empty(batch_size, compensated)
