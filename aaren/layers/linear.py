"""Linear attention (Katharopoulos et al. 2020), as a layer over sequences and as an RNN cell."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from aaren._types import Activation, Setting, Shape, Tensor
from aaren.layers.cell import Cell
from aaren.layers.layer import SequenceLayer
from aaren.ops.linear import LinearState, feature_map, linear_attention, linear_last, read


@keras.saving.register_keras_serializable("aaren")
class LinearSelfAttentionCell(Cell):
    """One step of `LinearSelfAttention(causal=True)`, same weights, same order, for `keras.layers.RNN`.

    In `keras.layers.RNN` the state's parts are flat: the last output, S (B, H·D·D) and z (B, H·D).

    Args:
        heads, dim: as in `Aaren`, and so are all its arguments but `return_sequences`, `return_state`, `stateful`,
            `go_backwards`, `forget` and `window`.

    Raises:
        ValueError: an argument out of range; the message names it.

    Example:

    >>> import aaren, keras, numpy as np
    >>> rnn = keras.layers.RNN(aaren.layers.LinearSelfAttentionCell(2, 3))
    >>> tuple(rnn(np.random.rand(1, 5, 4).astype("float32")).shape)
    (1, 3)

    Source: Katharopoulos et al. 2020, equations 16 to 20.
    """

    causal = True

    def build(self, input_shape: Shape) -> None:
        self.features = self.features_in(input_shape)
        self.query_kernel = self.add_kernel("query_kernel")
        self.key_kernel = self.add_kernel("key_kernel")
        self.value_kernel = self.add_kernel("value_kernel")
        self.bias = self.add_bias()
        self.built = True

    def weigh(self, x, dtype):
        """φ(x W_q), φ(x W_k) and x W_v + b, each (..., H, D), in the state's precision."""
        x = ops.cast(x, dtype)
        q = self.project(x, self.query_kernel)
        k = self.project(x, self.key_kernel)
        v = self.project(x, self.value_kernel, self.bias)
        q, k, v = (ops.cast(part, self.state_dtype) for part in (q, k, v))
        return feature_map(q), feature_map(k), v

    def token(self, tokens, state, reset=None):
        """One token more: S += φ(k) vᵀ and z += φ(k); read with φ(q)."""
        q, k, v = tokens
        state = self._begun(state, reset)
        state = LinearState(state.matrix + k[..., :, None] * v[..., None, :], state.normaliser + k)
        return read(q, state), state

    def prefixes(self, tokens, state, mask, reset, return_state=True):
        _refuse_reset(reset)
        return linear_attention(*tokens, state, mask=mask, causal=self.causal)

    def last(self, tokens, state, mask, reset):
        _refuse_reset(reset)
        return linear_last(*tokens, state, mask=mask)

    def _begun(self, state, reset):
        if reset is None:
            return state
        anew = reset[:, None, None]
        S, z = state
        return LinearState(
            ops.where(anew[..., None], ops.zeros_like(S), S), ops.where(anew, ops.zeros_like(z), z)
        )

    def empty(self, batch):
        shapes = self.state_shapes(batch)
        return LinearState(*(ops.zeros(shape, self.state_dtype) for shape in shapes))

    def as_state(self, parts):
        return LinearState(*parts)

    def state_shapes(self, batch):
        return (batch, self.heads, self.dim, self.dim), (batch, self.heads, self.dim)

    def shapes_of(self, state, batch):
        return self.state_shapes(batch)


def _refuse_reset(reset):
    if reset is not None:
        raise ValueError(
            "LinearSelfAttention takes no `reset` over a whole sequence; give each episode a row of its own, "
            "or use `step(x_t, state, reset)`, or Aaren, which takes it."
        )


@keras.saving.register_keras_serializable("aaren")
class LinearSelfAttention(SequenceLayer):
    """Linear self-attention: softmax's e^{q·k} replaced by φ(q)·φ(k), with φ(x) = elu(x) + 1.

    Each token has a query of its own, and the sums over keys and values are shared by all of them:
    o_k = φ(q_k)·S / φ(q_k)·z with S = Σ φ(k_i) v_iᵀ and z = Σ φ(k_i), over all tokens, or with `causal=True`
    over those up to k.

    Args:
        heads, dim: as in `Aaren`, and so are all its other arguments but `forget` and `window`. The state's parts
            are S (B, H, D, D) and z (B, H, D).
        causal: False: every token attends to the whole sequence. True: to the tokens up to itself, and then
            `step` gives the same outputs one token at a time.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this token is left out of the sums, and the output of the last token that
            counts is repeated.
        initial_state: sums over what came before.
        training: whether to drop.

    Raises:
        ValueError: an argument out of range, an input of another shape, `reset`, or `step` with causal=False.

    Example:

    >>> import aaren, numpy as np
    >>> layer = aaren.layers.LinearSelfAttention(heads=2, dim=3, causal=True)
    >>> tuple(layer(np.random.rand(1, 5, 4).astype("float32")).shape)
    (1, 5, 3)

    Source: Katharopoulos et al. 2020, arXiv 2006.16236, equations 5, 7 and 16 to 20.
    """

    def __init__(
        self,
        heads: int,
        dim: int,
        activation: Activation = None,
        causal: bool = False,
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
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = LinearSelfAttentionCell(
            *(heads, dim, activation, concat_heads, dropout, recurrent_dropout, use_bias),
            *(kernel_initializer, bias_initializer, kernel_regularizer, seed),
            dtype=kwargs.get("dtype"),
        )
        cell.causal = bool(causal)
        super().__init__(cell, return_sequences, return_state, stateful, go_backwards, **kwargs)

    @property
    def causal(self) -> bool:
        return self.cell.causal

    def step(
        self, x_t: Tensor, state: Sequence[Tensor], reset: Tensor | None = None
    ) -> tuple[Tensor, LinearState]:
        if not self.causal:
            raise ValueError(
                "step() takes tokens one at a time, but with causal=False a token's output depends on later tokens. "
                "Make the layer with causal=True."
            )
        return super().step(x_t, state, reset)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}
