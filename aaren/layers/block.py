"""A residual block with Aaren in it: put it where a Transformer block was."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from aaren import _checks
from aaren._types import Activation, Shape, Tensor
from aaren.layers.aaren import Aaren
from aaren.layers.layer import as_taken, mask_of_outputs
from aaren.ops.state import State, WindowState


@keras.saving.register_keras_serializable("aaren")
class AarenBlock(keras.layers.Layer):
    """x + W·Aaren(norm(x)), then x + feed-forward(norm(x)): a pre-norm Transformer block that is an RNN.

    Causal, of the same shape in and out, trained in parallel over time; `step` runs it token by token.

    Args:
        heads: number of heads H.
        dim: size D of each head; None takes features / heads.
        feed_forward: hidden units of the feed-forward part; None takes 4 × features.
        activation: of the feed-forward part.
        dropout: rate after each of the two parts.
        recurrent_dropout: rate for what Aaren reads from its state.
        epsilon: of the layer normalisations.
        seed: of the dropout.
        forget, window: of Aaren.
        return_state: also return the final state's parts, as `Aaren` does.
        go_backwards: take the sequence from its end, as the backward layer in `keras.layers.Bidirectional`.
        **kwargs: of `keras.layers.Layer`: name, dtype, trainable.

    Call arguments:
        x: (B, T, F), or (B, T) for one feature.
        mask: (B, T) bool; False: this step leaves the state as it is. Keras masks are used and passed on.
        reset: (B, T) bool; True: this token begins anew.
        initial_state: what `return_state`, `step` or `get_initial_state` gave.
        training: whether to drop.

    Returns:
        (B, T, F), and with `return_state` the parts of the state.

    Raises:
        ValueError: an argument out of range, or dim=None where heads does not divide the features.

    Example:

    >>> import aaren, numpy as np
    >>> block = aaren.layers.AarenBlock(heads=2)
    >>> tuple(block(np.random.rand(1, 5, 8).astype("float32")).shape)
    (1, 5, 8)

    Source: Feng et al. 2024, §3.3, for Aaren in a Transformer's place; Xiong et al. 2020, arXiv 2002.04745, for norms first.
    """

    def __init__(
        self,
        heads: int,
        dim: int | None = None,
        feed_forward: int | None = None,
        activation: Activation = "gelu",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        epsilon: float = 1e-5,
        seed: int | None = None,
        forget: str | None = None,
        window: int | None = None,
        return_state: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = _checks.positive_int(heads, "heads")
        self.dim = None if dim is None else _checks.positive_int(dim, "dim")
        self.feed_forward = (
            None if feed_forward is None else _checks.positive_int(feed_forward, "feed_forward")
        )
        self.activation = _checks.activation(activation)
        self.dropout = _checks.rate(dropout, "dropout")
        self.recurrent_dropout = _checks.rate(recurrent_dropout, "recurrent_dropout")
        self.epsilon = epsilon
        self.seed = seed
        self.forget = _checks.choice(forget, "forget", (None, "constant", "gate"))
        self.window = None if window is None else _checks.positive_int(window, "window")
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.return_sequences, self.stateful = True, False  # keras.layers.Bidirectional asks
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        features: Any = 1 if len(input_shape) == 2 else tuple(input_shape)[-1]
        if self.dim is None and features % self.heads:
            raise ValueError(
                f"AarenBlock(heads={self.heads}, dim=None) takes dim = features / heads, but {self.heads} does not "
                f"divide the {features} features of its input. Give `dim`, or another number of heads."
            )
        dtype = self.dtype_policy
        self.attention = Aaren(
            self.heads,
            self.dim or features // self.heads,
            concat_heads=True,
            recurrent_dropout=self.recurrent_dropout,
            return_state=True,
            seed=self.seed,
            forget=self.forget,
            window=self.window,
            dtype=dtype,
            name="attention",
        )
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=self.epsilon, dtype=dtype, name="attention_norm"
        )
        self.projection = keras.layers.Dense(features, dtype=dtype, name="projection")
        self.norm = keras.layers.LayerNormalization(epsilon=self.epsilon, dtype=dtype, name="norm")
        self.expand = keras.layers.Dense(
            self.feed_forward or 4 * features,
            activation=self.activation,
            dtype=dtype,
            name="expand",
        )
        self.contract = keras.layers.Dense(features, dtype=dtype, name="contract")
        self.drop = keras.layers.Dropout(self.dropout, seed=self.seed, dtype=dtype, name="drop")
        shape = (None, None, features)
        wide = (None, None, self.attention.output_size)
        hidden = (None, None, self.expand.units)
        for layer, size in (
            (self.attention_norm, shape), (self.attention, shape), (self.projection, wide),
            (self.norm, shape), (self.expand, shape), (self.contract, hidden),
        ):  # fmt: skip
            layer.build(size)
        super().build(input_shape)

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        initial_state: Sequence[Tensor] | None = None,
        training: bool | None = None,
    ) -> Any:
        x = _checks.sequence(x, self.name)
        _checks.features(x, self.projection.units, self.name)
        x = ops.cast(x, self.compute_dtype)
        mask, reset = _checks.by_step(mask, x, "mask"), _checks.by_step(reset, x, "reset")
        x, mask, reset = as_taken(x, mask, reset, self.go_backwards)
        o, *state = self.attention(
            self.attention_norm(x),
            mask=mask,
            reset=reset,
            initial_state=initial_state,
            training=training,
        )
        y = self._after_attention(x, o, training)
        return (y, *state) if self.return_state else y

    def step(
        self, x_t: Tensor, state: Sequence[Tensor], reset: Tensor | None = None
    ) -> tuple[Tensor, State | WindowState]:
        """Take one token: x_t (B, F) and a state to outputs (B, F) and the new state, as `Aaren.step`."""
        x_t = ops.cast(_checks.tensor(x_t, "x_t"), self.compute_dtype)
        if not self.built:
            self.build((x_t.shape[0], None, x_t.shape[-1]))
        _checks.shape(x_t, (None, self.projection.units), "x_t", "(batch, features)")
        o, new_state = self.attention.step(self.attention_norm(x_t), state, reset)
        return self._after_attention(x_t, o, training=False), new_state

    def get_initial_state(self, batch_size: int) -> Any:
        """The state that has seen nothing. The block must have been built."""
        if not self.built:
            raise ValueError(
                f"{self.name} is not built yet: call it once, or build it with build((batch, time, features))."
            )
        return self.attention.get_initial_state(batch_size)

    def _after_attention(self, x, o, training):
        x = x + self.drop(self.projection(o), training=training)
        y = self.contract(self.expand(self.norm(x)))
        return x + self.drop(y, training=training)

    def compute_mask(self, inputs, mask=None):
        mask = mask_of_outputs(mask, self.go_backwards)
        if not self.return_state:
            return mask
        return [mask, *(None for _ in self.attention.cell.state_shapes(1))]

    def compute_output_shape(self, input_shape, *_, **__):
        shape = tuple(input_shape)
        y = (*shape, 1) if len(shape) == 2 else shape
        return (y, *self.attention.cell.state_shapes(shape[0])) if self.return_state else y

    def compute_output_spec(self, x, *_, **__):
        shapes = self.compute_output_shape(x.shape)
        if not self.return_state:
            return keras.KerasTensor(shapes, self.compute_dtype)
        y, *state = shapes
        dtype = self.attention.state_dtype
        return (
            keras.KerasTensor(y, self.compute_dtype),
            *(keras.KerasTensor(shape, dtype) for shape in state),
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "dim": self.dim,
            "feed_forward": self.feed_forward,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "epsilon": self.epsilon,
            "seed": self.seed,
            "forget": self.forget,
            "window": self.window,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
        }
