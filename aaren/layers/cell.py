"""A cell: the weights of an attention layer, and what it does with one token.

The layer over a whole sequence (`aaren.layers.layer`) owns a cell, as `keras.layers.GRU` owns a `GRUCell`. A cell by
itself runs in `keras.layers.RNN`.

Shapes: B batch, T time, F features, H heads, D head size.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# The one name that Keras does not export: RNN looks for it to draw one dropout mask a sequence.
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell

from aaren import _checks
from aaren._types import Activation, Setting, Shape, Tensor


class Cell(keras.layers.Layer, DropoutRNNCell):
    """What every cell has: arguments, kernels, heads, dropout, and the protocol of `keras.layers.RNN`.

    A subclass says what a token is:

    * `build(input_shape)` makes the weights;
    * `weigh(x, dtype)`: inputs (..., F) to what a token brings, a tuple of arrays (such as its score and value);
    * `token(tokens, state)`: what one token brings, and a state, to (o (B, H, D), the new state);
    * `prefixes(tokens, state, mask, reset)`: the same for a whole sequence at once, o (B, T, H, D);
    * `last(tokens, state, mask, reset)`: the last output (B, H, D) and state, without those before;
    * `empty(batch)`: the state that has seen nothing, a named tuple, and `state_shapes(batch)`, its shapes.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads = _checks.positive_int(heads, "heads")
        self.dim = _checks.positive_int(dim, "dim")
        self.activation = _checks.activation(activation)
        self.concat_heads = bool(concat_heads)
        self.dropout = _checks.rate(dropout, "dropout")
        self.recurrent_dropout = _checks.rate(recurrent_dropout, "recurrent_dropout")
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.autocast = False  # inputs come as they are: scores are made in full precision
        if self.compute_dtype in ("float16", "bfloat16"):
            # RNN casts states to the cell's compute type, and they must not lose precision
            self.dtype_policy = keras.DTypePolicy("float32")
        self.state_dtype = "float64" if self.compute_dtype == "float64" else "float32"

    # -- weights and heads ---------------------------------------------------------------------------------

    @property
    def output_size(self) -> int:
        return self.heads * self.dim if self.concat_heads else self.dim

    def features_in(self, input_shape: Shape) -> int:
        """F, the last size of the input."""
        features = tuple(input_shape)[-1]
        if features is None:
            raise ValueError(
                f"{self.name} must know the number of features, the last size of its input; "
                f"got shape {tuple(input_shape)}. Give it in keras.Input."
            )
        return features

    def add_kernel(self, name):
        """Weights (F, H·D)."""
        return self.add_weight(
            name=name,
            shape=(self.features, self.heads * self.dim),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )

    def add_bias(self):
        """Weights (H·D,), or None."""
        if not self.use_bias:
            return None
        shape = (self.heads * self.dim,)
        return self.add_weight(name="bias", shape=shape, initializer=self.bias_initializer)

    def project(self, x, kernel, bias=None):
        """x W + b, the heads as an axis of their own: (..., F) -> (..., H, D)."""
        y = x @ ops.cast(kernel, x.dtype)
        if bias is not None:
            y = y + ops.cast(bias, x.dtype)
        return ops.reshape(y, (*ops.shape(x)[:-1], self.heads, self.dim))

    def combine(self, o, dtype):
        """The heads' outputs (..., H, D) as one: their mean (..., D), or side by side (..., H·D)."""
        o = ops.cast(o, dtype)
        if self.concat_heads:
            o = ops.reshape(o, (*ops.shape(o)[:-2], self.heads * self.dim))
        else:
            o = ops.mean(o, axis=-2)
        return self.activation(o)

    # -- dropout: one mask a sequence, as in keras.layers.LSTM ----------------------------------------------

    def input_noise(self, batch, dtype):
        """Mask (B, F) for the inputs of every time step."""
        ones = ops.ones((batch, self.features), dtype)
        return keras.random.dropout(ones, self.dropout, seed=self.seed_generator)

    def state_noise(self, batch):
        """Mask (B, H, D) for what is read from the state."""
        ones = ops.ones((batch, self.heads, self.dim), self.state_dtype)
        return keras.random.dropout(ones, self.recurrent_dropout, seed=self.seed_generator)

    def get_dropout_mask(self, step_input):
        if getattr(self, "_dropout_mask", None) is None and self.dropout > 0:
            self._dropout_mask = self.input_noise(ops.shape(step_input)[0], self.state_dtype)
        return getattr(self, "_dropout_mask", None)

    def get_recurrent_dropout_mask(self, step_input):
        if getattr(self, "_recurrent_dropout_mask", None) is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self.state_noise(ops.shape(step_input)[0])
        return getattr(self, "_recurrent_dropout_mask", None)

    # -- one token -------------------------------------------------------------------------------------------

    def step(
        self,
        x_t: Tensor,
        state: Sequence[Tensor],
        reset: Tensor | None = None,
        noise: tuple[Tensor | None, Tensor | None] = (None, None),
        dtype: str | None = None,
    ) -> tuple[Tensor, Any]:
        """Inputs (B, F) and a state to outputs (B, D) or (B, H·D) and the new state.

        Args:
            reset: (B,) bool; True: this token begins anew.
            noise: dropout masks for the inputs (B, F) and for what is read (B, H, D), or None.
            dtype: of the outputs; the cell's own by default.
        """
        dtype = dtype or self.compute_dtype
        if noise[0] is not None:
            x_t = x_t * ops.cast(noise[0], x_t.dtype)
        o, state = self.token(self.weigh(x_t, dtype), state, reset)
        if noise[1] is not None:
            o = o * ops.cast(noise[1], o.dtype)
        return self.combine(o, dtype), state

    # -- the protocol of keras.layers.RNN: flat states (B, size), the output first, since masked steps repeat it ----

    @property
    def state_size(self) -> list[int]:
        return [self.output_size, *(math.prod(shape[1:]) for shape in self.flat_shapes(1))]

    def flat_shapes(self, batch):
        return self.state_shapes(batch)

    def flatten(self, state):
        """A state's parts as arrays in which zeros mean that nothing was seen."""
        return list(state)

    def unflatten(self, parts):
        return self.as_state(parts)

    def call(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        training: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        noise = (None, None)
        if training:
            noise = self.get_dropout_mask(inputs), self.get_recurrent_dropout_mask(inputs)
        y, state = self.step(inputs, self.from_flat(states[1:]), noise=noise)
        return y, [
            ops.cast(part, old.dtype)
            for part, old in zip([y, *self.to_flat(state)], states, strict=True)
        ]

    def from_flat(self, parts):
        """Arrays (B, size) as a state."""
        shapes = self.flat_shapes(ops.shape(parts[0])[0])
        return self.unflatten(
            [
                ops.cast(ops.reshape(part, shape), self.state_dtype)
                for part, shape in zip(parts, shapes, strict=True)
            ]
        )

    def to_flat(self, state):
        """A state as arrays (B, size)."""
        parts = self.flatten(state)
        batch = ops.shape(parts[0])[0]
        return [
            ops.reshape(part, (batch, size))
            for part, size in zip(parts, self.state_size[1:], strict=True)
        ]

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """The state that has seen nothing, flat: one (B, size) array a part, the output first."""
        y = ops.zeros((batch_size, self.output_size), self.state_dtype)
        return [y, *self.to_flat(self.empty(batch_size))]

    def compute_output_shape(self, input_shape, *_, **__):
        batch = tuple(input_shape)[0]
        return (batch, self.output_size), [(batch, size) for size in self.state_size]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "dim": self.dim,
            "activation": keras.activations.serialize(self.activation),
            "concat_heads": self.concat_heads,
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "seed": self.seed,
        }
