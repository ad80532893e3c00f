"""What all attention layers and cells of this package have in common.

A concrete attention (Aaren, linear attention) says how tokens become weights and states; this module does the
rest once: arguments, heads, dropout, masks, states that are returned or kept, and the two faces of one
recurrence, a layer over a whole sequence and a cell for one token.

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


class AttentionHeads(keras.layers.Layer):
    """Arguments, weights' settings, heads and dropout: what a layer and its cell share.

    A subclass brings `build`, `state_shapes`, `empty`, `as_state`, `token(x_t, state, keep)` and,
    for layers, `sequence(x, mask, state)`. `keep` (B, 1) bool is False where a token is masked.
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
        self.supports_masking = True
        self.autocast = False  # states stay in full precision; inputs are cast where they are used

    # -- shapes ----------------------------------------------------------------------------------------

    @property
    def output_size(self) -> int:
        return self.heads * self.dim if self.concat_heads else self.dim

    @property
    def state_dtype(self):
        return "float64" if self.compute_dtype == "float64" else "float32"

    def features_in(self, input_shape):
        """F, the last size of the input."""
        features = tuple(input_shape)[-1]
        if features is None:
            raise ValueError(
                f"{self.name} must know the number of features, the last size of its input; "
                f"got shape {tuple(input_shape)}."
            )
        return features

    def add_kernel(self, name, features):
        return self.add_weight(
            name=name,
            shape=(features, self.heads * self.dim),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
        )

    def add_bias(self):
        if not self.use_bias:
            return None
        return self.add_weight(
            name="bias", shape=(self.heads * self.dim,), initializer=self.bias_initializer
        )

    def project(self, x, kernel, bias=None):
        """x W + b, the heads as an axis of their own: (..., F) -> (..., H, D)."""
        y = ops.matmul(x, ops.cast(kernel, x.dtype))
        if bias is not None:
            y = y + ops.cast(bias, x.dtype)
        return ops.reshape(y, (*ops.shape(x)[:-1], self.heads, self.dim))

    def combine(self, o):
        """The heads' outputs (..., H, D) as one: their mean (..., D), or side by side (..., H·D)."""
        o = ops.cast(o, self.compute_dtype)
        if self.concat_heads:
            o = ops.reshape(o, (*ops.shape(o)[:-2], self.heads * self.dim))
        else:
            o = ops.mean(o, axis=-2)
        return self.activation(o)

    # -- dropout: one mask a sequence, as in keras.layers.LSTM ----------------------------------------------

    def input_noise(self, batch):
        """Mask (B, F) for the inputs of every time step."""
        ones = ops.ones((batch, self.features), self.compute_dtype)
        return keras.random.dropout(ones, self.dropout, seed=self.seed_generator)

    def state_noise(self, batch):
        """Mask (B, H, D) for what is read from the state."""
        ones = ops.ones((batch, self.heads, self.dim), self.state_dtype)
        return keras.random.dropout(ones, self.recurrent_dropout, seed=self.seed_generator)

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


class SequenceLayer(AttentionHeads):
    """A layer over whole sequences: (B, T, F) -> (B, T, D) or (B, T, H·D)."""

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
        **kwargs: Any,
    ) -> None:
        super().__init__(heads, dim, activation, concat_heads, dropout, recurrent_dropout, **kwargs)
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.stateful = bool(stateful)
        self._kept = _Kept()

    def features_in(self, input_shape):
        """F; an input (B, T) has one feature a step."""
        return 1 if len(input_shape) == 2 else super().features_in(input_shape)

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        initial_state: Sequence[Tensor] | None = None,
        training: bool | None = None,
    ) -> Any:
        x = as_sequence(x, self.name)
        x = ops.cast(x, self.compute_dtype)
        batch = ops.shape(x)[0]
        state = self._first_state(batch, initial_state)
        keep = None
        if training and self.dropout > 0:
            x = x * self.input_noise(batch)[:, None]
        if training and self.recurrent_dropout > 0:
            keep = self.state_noise(batch)[:, None]
        o, state = self.sequence(x, mask, state)
        y = self.combine(o if keep is None else o * keep)
        if self.stateful:
            for variable, part in zip(self.states, state, strict=True):
                variable.assign(part)
        if not self.return_sequences:
            y = y[:, -1]
        return (y, *state) if self.return_state else y

    def step(self, x_t: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, Any]:
        """Take one token: the recurrence itself, in constant time and memory.

        Args:
            x_t: (B, F), the inputs of one time step.
            state: what `get_initial_state` or the step before returned.

        Returns:
            `(y_t, state)`: the outputs (B, D) or (B, H·D) after this token, and the new state.

        Raises:
            ValueError: `x_t` is not (B, F), or the state has other shapes.
        """
        x_t = ops.cast(_checks.tensor(x_t, "x_t"), self.compute_dtype)
        if len(x_t.shape) != 2:
            raise ValueError(
                f"`x_t` must have shape (batch, features), one token for each sequence; got shape {tuple(x_t.shape)}."
            )
        if not self.built:
            self.build((x_t.shape[0], None, x_t.shape[1]))
        _checks.shape(x_t, (None, self.features), "x_t", "(batch, features)")
        o, state = self.token(x_t, self._checked_state(state, "state", x_t.shape[0]))
        return self.combine(o), state

    def get_initial_state(self, batch_size: int) -> Any:
        """The state that has seen nothing."""
        return self.empty(batch_size)

    def reset_state(self) -> None:
        """Forget what a stateful layer has seen."""
        if self.states:
            for variable, part in zip(self.states, self.empty(self._kept.batch), strict=True):
                variable.assign(part)

    reset_states = reset_state

    def build(self, input_shape: Shape) -> None:
        self._make_kept_states(tuple(input_shape)[0])
        super().build(input_shape)

    @property
    def states(self):
        return self._kept.variables

    def _first_state(self, batch, initial_state):
        if initial_state is not None:
            return self._checked_state(initial_state, "initial_state", batch)
        if self.stateful:
            if isinstance(batch, int) and batch != self._kept.batch:
                raise ValueError(
                    f"A stateful {type(self).__name__} keeps one state a sequence: it was built for a batch of "
                    f"{self._kept.batch} and got {batch}. Send batches of that size, or use stateful=False."
                )
            return self.as_state(*(variable.value for variable in self.states))
        return self.empty(batch)

    def _checked_state(self, state, name, batch):
        shapes = self.state_shapes(batch if isinstance(batch, int) else None)
        if not isinstance(state, (tuple, list)) or len(state) != len(shapes):
            raise ValueError(
                f"`{name}` must be the {len(shapes)} arrays that `get_initial_state` gives; "
                f"got {type(state).__name__} {'' if not hasattr(state, '__len__') else f'of length {len(state)}'}."
            )
        parts = [_checks.tensor(part, f"{name}[{i}]") for i, part in enumerate(state)]
        for i, (part, shape) in enumerate(zip(parts, shapes, strict=True)):
            _checks.shape(part, shape, f"{name}[{i}]", "that of `get_initial_state`")
        return self.as_state(*(ops.cast(part, self.state_dtype) for part in parts))

    def _make_kept_states(self, batch):
        if not self.stateful:
            return
        if batch is None:
            raise ValueError(
                "stateful=True needs a batch size that is known when the layer is built: "
                "give it with keras.Input(batch_shape=(batch, time, features))."
            )
        self._kept.batch = batch
        self._kept.variables = [
            keras.Variable(part, trainable=False, dtype=self.state_dtype, name="state")
            for part in self.empty(batch)
        ]

    def compute_mask(self, inputs, mask=None):
        mask = mask if self.return_sequences else None
        return [mask, *(None for _ in self.state_shapes(1))] if self.return_state else mask

    def compute_output_shape(self, input_shape, *_, **__):
        batch, time = tuple(input_shape)[:2]
        y = (batch, time, self.output_size) if self.return_sequences else (batch, self.output_size)
        return (y, *self.state_shapes(batch)) if self.return_state else y

    def compute_output_spec(self, x, mask=None, initial_state=None, training=None):
        shapes = self.compute_output_shape(x.shape)
        if not self.return_state:
            return keras.KerasTensor(shapes, self.compute_dtype)
        y, *state = shapes
        spec = [keras.KerasTensor(y, self.compute_dtype)]
        return (*spec, *(keras.KerasTensor(shape, self.state_dtype) for shape in state))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
        }


class Cell(AttentionHeads, DropoutRNNCell):
    """One step of the recurrence, for `keras.layers.RNN`; the state's parts are (B, size) each."""

    def __init__(
        self,
        heads: int,
        dim: int,
        activation: Activation = None,
        concat_heads: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(heads, dim, activation, concat_heads, dropout, recurrent_dropout, **kwargs)
        if self.compute_dtype in ("float16", "bfloat16"):
            # RNN casts states to the cell's compute type, and they must not lose precision
            self.dtype_policy = keras.DTypePolicy("float32")

    @property
    def state_size(self) -> list[int]:
        return [math.prod(shape[1:]) for shape in self.state_shapes(1)]

    def call(
        self,
        inputs: Tensor,
        states: Sequence[Tensor],
        training: bool = False,
        keep: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        x_t = ops.cast(inputs, self.compute_dtype)
        if training and self.dropout > 0:
            x_t = x_t * self.get_dropout_mask(x_t)
        shapes = self.state_shapes(ops.shape(x_t)[0])
        state = [
            ops.cast(ops.reshape(part, shape), self.state_dtype)
            for part, shape in zip(states, shapes, strict=True)
        ]
        o, new = self.token(x_t, self.as_state(*state), keep)
        if training and self.recurrent_dropout > 0:
            o = o * self.get_recurrent_dropout_mask(x_t)
        return self.combine(o), [
            ops.cast(ops.reshape(part, ops.shape(old)), old.dtype)
            for part, old in zip(new, states, strict=True)
        ]

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """The state that has seen nothing, flat: one (B, size) array a part."""
        return [
            ops.reshape(part, (batch_size, size))
            for part, size in zip(self.empty(batch_size), self.state_size, strict=True)
        ]

    def get_dropout_mask(self, step_input):
        if getattr(self, "_dropout_mask", None) is None and self.dropout > 0:
            self._dropout_mask = self.input_noise(ops.shape(step_input)[0])
        return getattr(self, "_dropout_mask", None)

    def get_recurrent_dropout_mask(self, step_input):
        if getattr(self, "_recurrent_dropout_mask", None) is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self.state_noise(ops.shape(step_input)[0])
        return getattr(self, "_recurrent_dropout_mask", None)

    def compute_output_shape(self, input_shape, *_, **__):
        batch = tuple(input_shape)[0]
        return (batch, self.output_size), [(batch, size) for size in self.state_size]


class _Kept:
    """Where a stateful layer keeps its state: as in Keras's RNNs, not among the weights."""

    variables = None
    batch = None


def as_sequence(x, name):
    """(B, T) is taken as (B, T, 1): one feature a time step."""
    if len(x.shape) == 2:
        x = x[..., None]
    if len(x.shape) != 3:
        raise ValueError(
            f"The input of {name} must have shape (batch, time, features), or (batch, time) for one feature; "
            f"got shape {tuple(x.shape)}."
        )
    return x
