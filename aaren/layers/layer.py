"""A layer over whole sequences: it owns a cell, and runs it by its parallel form.

Shapes: B batch, T time, F features, H heads, D head size.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from aaren import _checks
from aaren._types import Shape, Tensor


def _of_cell(name):
    return property(lambda self: getattr(self.cell, name), doc=f"The cell's `{name}`.")


class SequenceLayer(keras.layers.Layer):
    """(B, T, F) -> (B, T, D) or (B, T, H·D): any cell of `aaren.layers.cell`, over all time steps in parallel."""

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.stateful = bool(stateful)
        self.go_backwards = bool(go_backwards)
        self.supports_masking = True
        self.autocast = False  # states stay in full precision; inputs are cast where they are used
        self._kept = _Kept()

    heads, dim = _of_cell("heads"), _of_cell("dim")
    activation, concat_heads = _of_cell("activation"), _of_cell("concat_heads")
    dropout, recurrent_dropout = _of_cell("dropout"), _of_cell("recurrent_dropout")
    use_bias, seed = _of_cell("use_bias"), _of_cell("seed")
    kernel_initializer, bias_initializer = (
        _of_cell("kernel_initializer"),
        _of_cell("bias_initializer"),
    )
    kernel_regularizer = _of_cell("kernel_regularizer")
    output_size, state_dtype = _of_cell("output_size"), _of_cell("state_dtype")

    def build(self, input_shape: Shape) -> None:
        shape = tuple(input_shape)
        if len(shape) == 2:  # one feature a step
            shape = (*shape, 1)
        if not self.cell.built:
            self.cell.build((shape[0], shape[-1]))
        if self.stateful:
            self._keep_states(shape[0])
        self.built = True

    def call(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        initial_state: Sequence[Tensor] | None = None,
        training: bool | None = None,
    ) -> Any:
        x = _checks.sequence(x, self.name)
        _checks.features(x, self.cell.features, self.name)
        mask, reset = _checks.by_step(mask, x, "mask"), _checks.by_step(reset, x, "reset")
        x = self._floating(x)
        x, mask, reset = as_taken(x, mask, reset, self.go_backwards)
        state = self._first_state(x, initial_state)
        if training and self.dropout > 0:
            x = x * self.cell.input_noise(ops.shape(x)[0], x.dtype)[:, None]
        y, state = self._run(x, state, mask, reset, training)
        if self.stateful:
            for variable, part in zip(self.states, state, strict=True):
                variable.assign(part)
        return (y, *state) if self.return_state else y

    def _run(self, x, state, mask, reset, training):
        """Outputs, and the last state where somebody asks for it."""
        tokens = self.cell.weigh(x, self.compute_dtype)
        if self.return_sequences:
            wanted = self.return_state or self.stateful
            o, state = self.cell.prefixes(tokens, state, mask, reset, return_state=wanted)
        else:
            o, state = self.cell.last(tokens, state, mask, reset)
        if training and self.recurrent_dropout > 0:
            noise = ops.cast(self.cell.state_noise(ops.shape(x)[0]), o.dtype)
            o = o * (noise[:, None] if self.return_sequences else noise)
        return self.cell.combine(o, self.compute_dtype), state

    def step(
        self, x_t: Tensor, state: Sequence[Tensor], reset: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        """Take one token: the recurrence itself, in constant time and memory.

        Args:
            x_t: (B, F), the inputs of one time step.
            state: what `get_initial_state` or the step before returned.
            reset: (B,) bool; True: this token begins anew.

        Returns:
            `(y_t, state)`: the outputs (B, D) or (B, H·D) after this token, and the new state.

        Raises:
            ValueError: `x_t` is not (B, F), or the state has other shapes.
        """
        x_t = _checks.tensor(x_t, "x_t")
        if len(x_t.shape) != 2:
            raise ValueError(
                f"`x_t` must have shape (batch, features), one token for each sequence; got shape {tuple(x_t.shape)}."
            )
        if not self.built:
            self.build((x_t.shape[0], None, x_t.shape[1]))
        _checks.shape(x_t, (None, self.cell.features), "x_t", "(batch, features)")
        if any(keras.backend.is_keras_tensor(part) for part in (x_t, *state)):
            return self._symbolic_step(x_t, state, reset)
        state = self._checked_state(state, "state", x_t.shape[0])
        return self.cell.step(self._floating(x_t), state, reset, dtype=self.compute_dtype)

    def _symbolic_step(self, x_t, state, reset):
        """The step as a layer of a functional model, which then has this layer's weights."""
        y, *parts = Step(self)([x_t, *state, *([] if reset is None else [reset])])
        return y, self.cell.as_state(parts)

    def get_initial_state(self, batch_size: int) -> Any:
        """The state that has seen nothing."""
        return self.cell.empty(batch_size)

    def _floating(self, x):
        return x if keras.backend.is_float_dtype(x.dtype) else ops.cast(x, self.compute_dtype)

    # -- states that are given, or kept from batch to batch --------------------------------------------------

    @property
    def states(self):
        return self._kept.variables

    def reset_state(self) -> None:
        """Forget what a stateful layer has seen."""
        if self.states:
            for variable, part in zip(self.states, self.cell.empty(self._kept.batch), strict=True):
                variable.assign(part)

    reset_states = reset_state

    def _first_state(self, x, initial_state):
        batch = ops.shape(x)[0]
        if initial_state is not None:
            return self._checked_state(initial_state, "initial_state", batch)
        if self.stateful:
            if isinstance(batch, int) and batch != self._kept.batch:
                raise ValueError(
                    f"A stateful {type(self).__name__} keeps one state a sequence: it was built for a batch of "
                    f"{self._kept.batch} and got {batch}. Send batches of that size, or use stateful=False."
                )
            return self.cell.as_state([variable.value for variable in self.states])
        return self.cell.empty(batch)

    def _checked_state(self, state, name, batch):
        batch = batch if isinstance(batch, int) else None
        wanted = self.cell.shapes_of(state, batch)
        if not isinstance(state, (tuple, list)) or len(state) != len(wanted):
            length = f" of length {len(state)}" if hasattr(state, "__len__") else ""
            raise ValueError(
                f"`{name}` must be the {len(wanted)} arrays that `get_initial_state` gives; "
                f"got {type(state).__name__}{length}."
            )
        parts = [_checks.tensor(part, f"{name}[{i}]") for i, part in enumerate(state)]
        for i, (part, shape) in enumerate(zip(parts, wanted, strict=True)):
            _checks.shape(part, shape, f"{name}[{i}]", "that of `get_initial_state`")
        return self.cell.as_state([ops.cast(part, self.state_dtype) for part in parts])

    def _keep_states(self, batch):
        if batch is None:
            raise ValueError(
                "stateful=True needs a batch size that is known when the layer is built: "
                "give it with keras.Input(batch_shape=(batch, time, features))."
            )
        self._kept.batch = batch
        self._kept.variables = [
            keras.Variable(part, trainable=False, dtype=self.state_dtype, name="state")
            for part in self.cell.empty(batch)
        ]

    # -- what Keras asks -----------------------------------------------------------------------------------

    def compute_mask(self, inputs, mask=None):
        mask = mask_of_outputs(mask, self.go_backwards) if self.return_sequences else None
        return [mask, *(None for _ in self.cell.state_shapes(1))] if self.return_state else mask

    def compute_output_shape(self, input_shape, *_, **__):
        batch, time = tuple(input_shape)[:2]
        y = (batch, time, self.output_size) if self.return_sequences else (batch, self.output_size)
        return (y, *self.cell.state_shapes(batch)) if self.return_state else y

    def compute_output_spec(self, x, mask=None, reset=None, initial_state=None, training=None):
        shapes = self.compute_output_shape(x.shape)
        if not self.return_state:
            return keras.KerasTensor(shapes, self.compute_dtype)
        y, *state = shapes
        spec = [keras.KerasTensor(y, self.compute_dtype)]
        return (*spec, *(keras.KerasTensor(shape, self.state_dtype) for shape in state))

    def get_config(self) -> dict[str, Any]:
        return {
            **self.cell.get_config(),
            **super().get_config(),  # name, dtype and trainable are the layer's
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "stateful": self.stateful,
            "go_backwards": self.go_backwards,
        }


@keras.saving.register_keras_serializable("aaren")
class Step(keras.layers.Layer):
    """One step of a layer, as a layer: [x_t, *state] to [y_t, *state]. `layer.step` on symbolic inputs makes it."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer = layer
        self.autocast = False
        self.built = layer.built

    def build(self, shapes):
        if not self.layer.built:
            self.layer.build((shapes[0][0], None, shapes[0][-1]))
        self.built = True

    def call(self, inputs):
        count = len(self.layer.cell.state_shapes(1))
        x_t, *state = inputs[: 1 + count]
        y, state = self.layer.step(x_t, state, *inputs[1 + count :])
        return [y, *state]

    def get_config(self):
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)


def as_taken(x, mask, reset, backwards):
    """The sequence as a layer takes it: what is masked reaches nothing, NaN neither; from its end if asked."""
    if mask is not None:
        x = ops.where(ops.cast(mask, "bool")[..., None], x, ops.zeros_like(x))
    if not backwards:
        return x, mask, reset
    return tuple(None if part is None else ops.flip(part, axis=1) for part in (x, mask, reset))


def mask_of_outputs(mask, backwards):
    """The mask in the order of the outputs."""
    return ops.flip(mask, axis=1) if backwards and mask is not None else mask


class _Kept:
    """Where a stateful layer keeps its state: as in Keras's RNNs, not among the weights."""

    variables = None
    batch = None
