"""Linear attention (Katharopoulos et al. 2020), as a layer over sequences and as an RNN cell."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from aaren._types import Activation, Tensor
from aaren.layers.base import Cell, SequenceLayer
from aaren.scan import nonzero

BLOCK = 32  # steps whose pairs are computed as one matrix


class LinearState(NamedTuple):
    """Sums over the tokens seen: `matrix` Σ φ(k_i) v_iᵀ (B, H, D, D) and `normaliser` Σ φ(k_i) (B, H, D)."""

    matrix: Tensor
    normaliser: Tensor


def feature_map(x: Tensor) -> Tensor:
    """φ(x) = elu(x) + 1: positive, so that attention weights are."""
    return ops.elu(x) + 1


class _LinearWeights:
    """Queries, keys and values of a token, and the state (S, z): what the layer and the cell share."""

    def build(self, input_shape):
        self.features = self.features_in(input_shape)
        self.query_kernel = self.add_kernel("query_kernel", self.features)
        self.key_kernel = self.add_kernel("key_kernel", self.features)
        self.value_kernel = self.add_kernel("value_kernel", self.features)
        self.bias = self.add_bias()
        super().build(input_shape)

    def queries_keys_values(self, x):
        """φ(x W_q), φ(x W_k) and x W_v + b, each (..., H, D), in the state's precision."""
        q = self.project(x, self.query_kernel)
        k = self.project(x, self.key_kernel)
        v = self.project(x, self.value_kernel, self.bias)
        q, k, v = (ops.cast(part, self.state_dtype) for part in (q, k, v))
        return feature_map(q), feature_map(k), v

    def token(self, x_t, state, keep=None):
        """One token more: S += φ(k) vᵀ and z += φ(k); read with φ(q)."""
        q, k, v = self.queries_keys_values(x_t)
        if keep is not None:
            k, v = (ops.where(keep[..., None], part, ops.zeros_like(part)) for part in (k, v))
        state = LinearState(state.matrix + k[..., :, None] * v[..., None, :], state.normaliser + k)
        numerator = ops.matmul(q[..., None, :], state.matrix)[..., 0, :]
        denominator = ops.sum(q * state.normaliser, axis=-1, keepdims=True)
        return numerator / nonzero(denominator), state

    def empty(self, batch):
        return LinearState(
            *(ops.zeros(shape, self.state_dtype) for shape in self.state_shapes(batch))
        )

    def as_state(self, *parts):
        return LinearState(*parts)

    def state_shapes(self, batch):
        return (batch, self.heads, self.dim, self.dim), (batch, self.heads, self.dim)


@keras.saving.register_keras_serializable("aaren")
class LinearSelfAttention(_LinearWeights, SequenceLayer):
    """Linear self-attention: softmax's e^{q·k} replaced by φ(q)·φ(k), with φ(x) = elu(x) + 1.

    Each token has a query of its own, and the sums over keys and values are shared by all of them:
    o_k = φ(q_k)·S / φ(q_k)·z with S = Σ φ(k_i) v_iᵀ and z = Σ φ(k_i), over all tokens, or with `causal=True`
    over those up to k.

    Args:
        heads, dim: as in `Aaren`, and so are all its other arguments. The state's parts are S (B, H, D, D) and z (B, H, D).
        causal: False: every token attends to the whole sequence. True: to the tokens up to itself, and then
            `step` gives the same outputs one token at a time.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this token is left out of the sums.
        initial_state: sums over what came before.
        training: whether to drop.

    Raises:
        ValueError: an argument out of range, an input of another shape, or `step` with causal=False.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(heads, dim, activation, **kwargs)
        self.causal = bool(causal)

    def sequence(self, x, mask, state):
        q, k, v = self.queries_keys_values(x)
        if mask is not None:
            mask = ops.cast(mask, "bool")[:, :, None, None]
            k, v = (ops.where(mask, part, ops.zeros_like(part)) for part in (k, v))
        q, k, v = (ops.transpose(part, (0, 2, 1, 3)) for part in (q, k, v))
        o, state = (self._prefixes if self.causal else self._whole)(q, k, v, state)
        return ops.transpose(o, (0, 2, 1, 3)), state

    def _whole(self, q, k, v, state):
        """Every query reads the same two sums: (B, H, T, D) -> (B, H, T, D)."""
        S = state.matrix + ops.matmul(ops.swapaxes(k, -1, -2), v)
        z = state.normaliser + ops.sum(k, axis=2)
        o = ops.matmul(q, S) / nonzero(ops.matmul(q, z[..., None]))
        return o, LinearState(S, z)

    def _prefixes(self, q, k, v, state):
        """Pairs inside blocks of time, plus the sums over all blocks before."""
        length = ops.shape(q)[2]
        missing = -length % BLOCK
        q, k, v = (ops.pad(part, ((0, 0), (0, 0), (0, missing), (0, 0))) for part in (q, k, v))
        batch, heads, padded, dim = ops.shape(q)
        blocks = (batch, heads, padded // BLOCK, BLOCK, dim)
        q, k, v = (ops.reshape(part, blocks) for part in (q, k, v))

        inside = ops.tril(ops.matmul(q, ops.swapaxes(k, -1, -2)))
        S = _running_total(state.matrix, ops.matmul(ops.swapaxes(k, -1, -2), v))
        z = _running_total(state.normaliser, ops.sum(k, axis=3))
        o = ops.matmul(inside, v) + ops.matmul(q, S[:, :, :-1])
        weight = ops.sum(inside, axis=-1, keepdims=True) + ops.matmul(q, z[:, :, :-1, :, None])
        o = ops.reshape(o / nonzero(weight), (batch, heads, padded, dim))
        return o[:, :, :length], LinearState(S[:, :, -1], z[:, :, -1])

    def step(self, x_t: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, LinearState]:
        if not self.causal:
            raise ValueError(
                "step() takes tokens one at a time, but with causal=False a token's output depends on later tokens. "
                "Make the layer with causal=True."
            )
        return super().step(x_t, state)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}


@keras.saving.register_keras_serializable("aaren")
class LinearSelfAttentionCell(_LinearWeights, Cell):
    """One step of `LinearSelfAttention(causal=True)`, same weights, same order, for `keras.layers.RNN`.

    The state's parts are flat: S (B, H·D·D) and z (B, H·D).

    Args:
        heads, dim: as in `Aaren`, and so are all its arguments but `return_sequences`, `return_state`, `stateful`.

    Raises:
        ValueError: an argument out of range; the message names it.

    Example:

    >>> import aaren, keras, numpy as np
    >>> rnn = keras.layers.RNN(aaren.layers.LinearSelfAttentionCell(2, 3))
    >>> tuple(rnn(np.random.rand(1, 5, 4).astype("float32")).shape)
    (1, 3)

    Source: Katharopoulos et al. 2020, equations 16 to 20.
    """


def _running_total(first, parts):
    """first, first + parts_1, first + parts_1 + parts_2, ... along the third axis."""
    return ops.cumsum(ops.concatenate([first[:, :, None], parts], axis=2), axis=2)
