"""What layers and models tell Keras and what they promise: names, defaults, shapes, types, single steps."""

import inspect

import keras
import numpy as np
import oracle
import pytest
from keras import ops
from oracle import numpy

import aaren
from aaren.layers import Aaren, AarenBlock, AarenCell, LinearSelfAttention, LinearSelfAttentionCell
from aaren.layers.layer import SequenceLayer
from aaren.models import AttentionRNN, ScanRNNAttentionModel
from aaren.ops import last_state
from aaren.ops.autodiff import with_backward

pytestmark = pytest.mark.backends

LAYERS = {
    "aaren": lambda **k: Aaren(2, 3, **k),
    "gate and window": lambda **k: Aaren(2, 3, forget="gate", window=3, **k),
    "linear": lambda **k: LinearSelfAttention(2, 3, causal=True, **k),
    "block": lambda **k: AarenBlock(2, forget="constant", window=3, **k),
}
MODELS = {
    make.__name__: lambda make=make, **k: make([2, 3], [4, 2], **k)
    for make in (ScanRNNAttentionModel, AttentionRNN)
}
layers = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
every = pytest.mark.parametrize(
    "make", [*LAYERS.values(), *MODELS.values()], ids=[*LAYERS, *MODELS]
)


def sequence(time=6, batch=3, features=4):
    return np.random.default_rng(0).normal(size=(batch, time, features)).astype("float32")


def close(a, b, atol=1e-5):
    np.testing.assert_allclose(numpy(a), numpy(b), atol=atol)


def kinds(tree):
    """Shape and type of each array."""
    return [
        (tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in keras.tree.flatten(tree)
    ]


# -- what Keras is told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("return_state", [False, True])
@every
def test_symbolic_outputs_are_of_the_kind_of_real_ones(make, return_state, policy):
    x, layer = sequence(), make(return_state=return_state, dtype=policy)
    real = layer(x)
    assert kinds(layer(keras.Input((6, 4), batch_size=3))) == kinds(real)
    shapes = keras.tree.flatten(
        keras.tree.map_shape_structure(tuple, layer.compute_output_shape(x.shape))
    )
    assert keras.tree.flatten([shape for shape, _ in kinds(real)]) == shapes
    mask = np.ones((3, 6), bool)
    kept = layer.compute_mask(x, mask)
    first, *others = keras.tree.flatten(kept)
    assert first is mask and not [m for m in others if m is not None]
    if return_state:
        keras.tree.assert_same_paths(kept, keras.tree.map_structure(lambda part: None, real))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize("return_state", [False, True])
def test_symbolic_last_outputs_are_of_the_kind_of_real_ones(return_state, policy):
    for make in (LAYERS["aaren"], LAYERS["gate and window"], LAYERS["linear"]):
        layer = make(return_sequences=False, return_state=return_state, dtype=policy)
        real = layer(sequence())
        assert kinds(layer(keras.Input((6, 4), batch_size=3))) == kinds(real)
        masks = keras.tree.flatten(layer.compute_mask(sequence(), np.ones((3, 6), bool)))
        assert not [mask for mask in masks if mask is not None]


@layers
def test_the_mask_of_a_sequence_taken_from_its_end_is_turned_too(make):
    mask = np.array([[True, True, False], [True, False, False]])
    kept = make(go_backwards=True).compute_mask(sequence(3, 2), mask)
    np.testing.assert_array_equal(numpy(kept), mask[:, ::-1])


@pytest.mark.parametrize("dtypes", [["float16"] * 3, ["float32"] * 3, ["float32", "float64"] * 2])
@pytest.mark.parametrize("options", [{}, {"window": 3}], ids=str)
def test_symbolic_attention_is_of_the_kind_of_the_real_one(options, dtypes):
    if "float64" in dtypes and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    shapes = (3, 6, 2), (3, 6, 2, 5), (3, 6, 2)
    real = [ops.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes)]
    symbolic = [keras.KerasTensor(shape, dtype) for shape, dtype in zip(shapes, dtypes)]
    for s, v, g in (real, symbolic):
        found = kinds(
            [
                aaren.prefix_attention(s, v, log_decay=g, **options),
                aaren.prefix_attention(s, v, log_decay=g, return_state=True, **options),
                last_state(s, v, log_decay=g, **options),
            ]
        )
        if s is real[0]:
            wanted = found
    assert found == wanted


def test_whole_numbers_become_floats():
    s, v = np.zeros((1, 3, 2), int), np.arange(12).reshape(1, 3, 2, 2)
    assert kinds(aaren.prefix_attention(s, v)) == [((1, 3, 2, 2), "float32")]
    symbolic = keras.KerasTensor((1, 3, 2), "int32"), keras.KerasTensor((1, 3, 2, 2), "int32")
    assert kinds(aaren.prefix_attention(*symbolic)) == [((1, 3, 2, 2), "float32")]


NAMES = ["query", "key_kernel", "value_kernel", "bias"]


@pytest.mark.parametrize(
    "make, names",
    [
        (lambda: Aaren(2, 3, forget="gate"), [*NAMES, "forget_kernel", "forget_bias"]),
        (lambda: Aaren(2, 3, forget="constant", use_bias=False), [*NAMES[:3], "forget_bias"]),
        (lambda: LinearSelfAttention(2, 3), ["query_kernel", *NAMES[1:]]),
        (
            lambda: AarenBlock(2),
            [*NAMES, *["gamma", "beta", "kernel", "bias"] * 2, "kernel", "bias"],
        ),
        (lambda: ScanRNNAttentionModel([2, 2], [3, 3]), NAMES * 2),
    ],
)
def test_weights_have_their_names(make, names):
    layer = make()
    layer.build((None, None, 4))
    assert [weight.name for weight in layer.weights] == names
    for part in layer._flatten_layers(include_self=False):
        if isinstance(layer, AarenBlock) and not isinstance(part, AarenCell):
            assert getattr(layer, part.name) is part
        assert part.dtype_policy.name == "float32"


@pytest.mark.parametrize(
    "make, sizes",
    [(make, (2, 3)) for make in (Aaren, AarenCell, LinearSelfAttention, LinearSelfAttentionCell)]
    + [(AarenBlock, (2,)), (ScanRNNAttentionModel, ([2], [3])), (AttentionRNN, ([2], [3]))],
)
def test_defaults_are_those_of_the_signature(make, sizes):
    config = make(*sizes).get_config()
    owner = next(c for c in make.__mro__ if len(inspect.signature(c.__init__).parameters) > 5)
    linear = {"activation": "linear", "output_activation": "linear"}
    for name, parameter in inspect.signature(owner.__init__).parameters.items():
        if parameter.default is parameter.empty:
            continue
        wanted, got = parameter.default, config[name]
        if wanted is None and name in linear:
            wanted = "linear"
        if isinstance(got, dict):
            got, wanted = got["class_name"], wanted.title().replace("_", "")
        assert got == wanted, name
    assert config["trainable"] is True and config["name"] and config["dtype"]


def test_a_layer_made_of_a_cell_alone_keeps_nothing_and_gives_its_outputs():
    config = SequenceLayer(AarenCell(2, 3)).get_config()
    names = ("return_sequences", "return_state", "stateful", "go_backwards")
    assert [config[name] for name in names] == [True, False, False, False]


def test_first_values_are_those_that_were_asked_for():
    for make in (AarenCell, LinearSelfAttentionCell):
        cell = make(2, 3, kernel_initializer="ones", bias_initializer="ones")
        cell.build((None, 4))
        made = [w for w in cell.weights if w.name != "query"]
        assert len(made) >= 3 and all((numpy(w) == 1).all() for w in made)


def test_parts_have_the_arguments_of_the_whole():
    shared = dict(recurrent_dropout=0.25, forget="gate", window=5)
    block = AarenBlock(2, 3, seed=7, **shared)
    block.build((None, None, 4))
    config = block.attention.get_config()
    assert {name: config[name] for name in shared} == shared
    assert [config[name] for name in ("heads", "dim", "seed")] == [2, 3, 7]
    for make in (ScanRNNAttentionModel, AttentionRNN):
        kept = dict(shared, dropout=0.5, concat_heads=True)
        model = make([2, 4], [3, 5], "tanh", "relu", seed=7, **kept)
        for i, part in enumerate(model.parts):
            config = part.get_config()
            assert {name: config[name] for name in kept} == kept
            names = ("heads", "dim", "activation", "seed")
            wanted = [(2, 3, "tanh", 7), (4, 5, "relu", 8)][i]
            assert tuple(config[name] for name in names) == wanted


def test_the_loop_of_a_model_has_the_precision_of_its_states():
    policies = {"float32": "float32", "mixed_float16": "float32", "float64": "float64"}
    for policy, wanted in policies.items():
        model = AttentionRNN([2], [3], dtype=policy)
        assert model.rnn.compute_dtype == model.rnn.cell.compute_dtype == wanted


def test_parts_of_a_block_have_its_precision_and_its_epsilon():
    block = AarenBlock(2, dtype="mixed_bfloat16", epsilon=0.25)
    block.build((None, None, 4))
    parts = [p for p in block._flatten_layers(include_self=False) if not isinstance(p, AarenCell)]
    assert len(parts) == 7 and {p.dtype_policy.name for p in parts} == {"mixed_bfloat16"}
    assert block.attention_norm.epsilon == block.norm.epsilon == 0.25
    assert block.expand.units == 16 and block.contract.units == 4


# -- single steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True])
@layers
def test_a_one_step_model_is_the_step(make, reset, tmp_path):
    layer = make()
    if isinstance(layer, AarenBlock):
        layer.build((None, None, 4))
    shapes = [(4,)] + [part.shape[1:] for part in (layer.get_initial_state(1))]
    inputs = [keras.Input(shape) for shape in shapes]
    anew = [keras.Input((), dtype="bool")] * reset
    y, state = layer.step(inputs[0], inputs[1:], *anew)
    model = keras.Model([*inputs, *anew], [y, *state])
    x, wanted = sequence(), layer.get_initial_state(3)
    begins = [ops.convert_to_tensor([False, True, False])] * reset
    got = wanted
    for t in range(3):
        x_t = ops.convert_to_tensor(x[:, t])
        y, *got = model([x_t, *got, *begins])
        close(y, layer.step(x_t, wanted, *begins)[0])
        _, wanted = layer.step(x_t, wanted, *begins)
    if reset:
        close(y[1], layer.step(x[:, 2], layer.get_initial_state(3))[0][1])
    model.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    for a, b in zip(loaded([x_t, *got, *begins]), model([x_t, *got, *begins]), strict=True):
        close(a, b)


@layers
def test_a_one_step_model_keeps_its_state_s_precision_under_a_global_policy(make):
    policy, layer = keras.config.dtype_policy(), make(dtype="float32")
    layer.build((None, None, 4))
    x, state = ops.convert_to_tensor(sequence()[:, 0]), layer.get_initial_state(3)
    for _ in range(3):
        _, state = layer.step(x, state)
    try:
        keras.config.set_dtype_policy("mixed_float16")
        inputs = [keras.Input(part.shape[1:], dtype="float32") for part in (x, *state)]
        y, after = layer.step(inputs[0], inputs[1:])
        got = keras.Model(inputs, [y, *after])([x, *state])
    finally:
        keras.config.set_dtype_policy(policy)
    y, after = layer.step(x, state)
    for a, b in zip(got, (y, *after), strict=True):
        close(a, b, 1e-6)


def test_dropout_of_a_cell_s_inputs_and_of_what_it_reads_are_two_things():
    x, zeros = ops.convert_to_tensor(sequence()[:, 0]), ops.zeros((3, 4))
    for cell in (AarenCell(2, 3), LinearSelfAttentionCell(2, 3)):
        cell.build((3, 4))
        state, read = cell.empty(3), ops.full((3, 2, 3), 3.0)
        close(cell.step(x, state, noise=(zeros, None))[0], cell.step(zeros, state)[0])
        close(cell.step(x, state, noise=(None, read))[0], 3.0 * cell.step(x, state)[0])


@layers
def test_whole_numbers_are_dropped_as_floats(make):
    """What is kept is divided by 0.8, which gives no whole number."""
    x, layer, other = sequence() * 5, make(dropout=0.2, seed=1), make(dropout=0.2, seed=1)
    for one in (layer, other):
        one.build(x.shape)
    other.set_weights(layer.get_weights())
    whole = x.astype(int)
    close(layer(whole, training=True), other(whole.astype("float32"), training=True))


@layers
def test_a_layer_that_was_never_called_takes_a_step(make):
    layer, built = make(seed=1, dropout=0.5, recurrent_dropout=0.5), make()
    built.build((None, None, 4))
    x, state = sequence()[:, 0], built.get_initial_state(3)
    y, _ = layer.step(x.astype("float16"), state)
    assert kinds(y) == [((3, built.compute_output_shape((3, 6, 4))[-1]), "float32")]
    layer.set_weights(built.get_weights())
    close(layer.step(x, state)[0], built.step(x, state)[0])  # dropout is off
    assert layer.cell.features == 4 if hasattr(layer, "cell") else layer.projection.units == 4


@every
def test_a_step_with_a_reset_forgets_what_was_before(make):
    x, layer = sequence(), make()
    layer.build(x.shape)
    state = layer.get_initial_state(3)
    for t in range(3):
        _, state = layer.step(x[:, t], state)
    y, _ = layer.step(x[:, 3], state, np.array([True, False, True]))
    fresh, _ = layer.step(x[:, 3], layer.get_initial_state(3))
    on, _ = layer.step(x[:, 3], state)
    for row, wanted in enumerate((fresh, on, fresh)):
        close(y[row], wanted[row])
        assert np.abs(numpy(fresh)[row] - numpy(on)[row]).max() > 1e-4


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_goes_on_from_a_state_and_begins_anew_where_it_is_told(make):
    x, reset, model = sequence(), np.zeros((3, 6), bool), make()
    model.build(x.shape)
    reset[1, 4] = True
    state, steps = model.get_initial_state(3), []
    for t in range(6):
        if t == 2:
            middle = state
        y, state = model.step(x[:, t], state, reset[:, t])
        steps.append(y)
    close(model(x, reset=reset), ops.stack(steps, axis=1))
    close(model(x[:, 2:], reset=reset[:, 2:], initial_state=middle), ops.stack(steps[2:], axis=1))


@pytest.mark.parametrize("causal", [False, True])
def test_the_last_output_of_linear_attention_alone(causal):
    x, mask = sequence(), np.array([[1, 1, 1, 1, 0, 0], [0] * 6, [0, 0, 1, 0, 1, 1]], bool)
    whole = LinearSelfAttention(2, 3, causal=causal, return_state=True)
    outputs, *state = whole(x, mask=mask)
    alone = LinearSelfAttention(2, 3, causal=causal, return_sequences=False, return_state=True)
    alone.build(x.shape)
    alone.set_weights(whole.get_weights())
    y, *last = alone(x, mask=mask)
    close(y, outputs[:, -1])
    for a, b in zip(state, last, strict=True):
        close(a, b)
    assert numpy(y)[1].tolist() == [0, 0, 0] and np.abs(numpy(y)[0]).max() > 1e-3


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
@every
def test_steps_and_dropout_in_other_precisions(make, policy):
    if policy == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    x, layer = sequence(), make(dtype=policy, dropout=0.5, recurrent_dropout=0.5, seed=1)
    layer.build(x.shape)
    wanted, dtype = layer(x), policy.removeprefix("mixed_")
    assert kinds(layer(x, training=True)) == kinds(wanted)
    y, state = layer.step(x[:, 0], layer.get_initial_state(3))
    assert kinds(y) == [((3, wanted.shape[-1]), dtype)]
    assert {kind for _, kind in kinds(state)} == {"float64" if dtype == "float64" else "float32"}
    close(ops.cast(y, "float32"), ops.cast(wanted[:, 0], "float32"), 1e-2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_cell_s_states_and_noise_and_the_states_that_a_layer_keeps_have_its_precision(dtype):
    if dtype == "float64" and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on")
    for cell, parts in (
        (AarenCell(2, 3, window=2, dtype=dtype), [3, 1, 4, 12]),
        (LinearSelfAttentionCell(2, 3, concat_heads=True, dtype=dtype), [6, 18, 6]),
    ):
        wanted = [(5, size) for size in parts]
        assert kinds(cell.get_initial_state(5)) == [(shape, dtype) for shape in wanted]
        assert cell.compute_output_shape((5, 4)) == ((5, parts[0]), wanted)
        cell.build((5, 4))
        assert kinds(cell.input_noise(5, dtype)) == [((5, 4), dtype)]
        assert kinds(cell.state_noise(5)) == [((5, 2, 3), dtype)]
    layer = Aaren(2, 3, stateful=True, dtype=dtype)
    layer.build((2, 3, 4))
    assert {keras.backend.standardize_dtype(v.dtype) for v in layer.states} == {dtype}


def test_values_are_projected_in_the_layer_s_precision():
    """The first token's value is what its state holds."""
    layer = Aaren(2, 3, return_state=True, dtype="mixed_float16")
    *_, values = layer(sequence(1))
    close(values, ops.cast(ops.cast(values, "float16"), "float32"), 0)


def test_linear_attention_projects_in_the_type_that_it_is_told():
    cell = LinearSelfAttentionCell(2, 3)
    cell.build((3, 4))
    *_, values = cell.weigh(ops.convert_to_tensor(sequence()), "float16")
    close(values, ops.cast(ops.cast(values, "float16"), "float32"), 0)


def test_one_head_begins_with_ten_tokens_and_one_number_is_one_layer():
    layer = Aaren(1, 2, forget="constant")
    layer.build((None, None, 3))
    np.testing.assert_allclose(-1 / numpy(ops.log_sigmoid(layer.cell.forget_bias)), 10, rtol=1e-4)
    model = ScanRNNAttentionModel(2, 3)
    assert (model.heads, model.dims) == ([2], [3])


# -- pairs of floats -------------------------------------------------------------------------------------


def test_a_pair_of_floats_holds_what_rounding_takes():
    """Against float64, in which sums and products of two float32 are exact to far more digits."""
    from aaren.ops.state import _product_error, _times, _two_sum

    rng = np.random.default_rng(0)
    a, b, rest = (rng.normal(size=1000).astype("float32") for _ in range(3))
    rest *= np.float32(1e-8)
    exact = a.astype("float64") * b
    product = a * b
    error = numpy(_product_error(*map(ops.convert_to_tensor, (a, b, product))))
    np.testing.assert_array_equal(product.astype("float64") + error, exact)
    total, left = map(numpy, _times(*map(ops.convert_to_tensor, (a, rest, b))))
    wanted = (a.astype("float64") + rest) * b
    np.testing.assert_allclose(total.astype("float64") + left, wanted, rtol=1e-12)
    same, kept = map(numpy, _times(*map(ops.convert_to_tensor, (a, rest, np.ones_like(a)))))
    assert (same == a).all() and (kept == rest).all()
    # a split number would overflow here; a factor of 1 splits none
    _, kept = map(
        numpy, _times(*map(ops.convert_to_tensor, (a * np.float32(1e36), rest, np.ones_like(a))))
    )
    assert (kept == rest).all()
    pair = tuple(map(ops.convert_to_tensor, (a, rest)))
    total, left = map(numpy, _two_sum(pair, ops.convert_to_tensor(b * 1e-3)))
    wanted = a.astype("float64") + rest + (b * np.float32(1e-3))
    np.testing.assert_allclose(total.astype("float64") + left, wanted, rtol=1e-12, atol=1e-14)
    assert (np.abs(left) <= np.abs(total) * 2**-24).all()


@pytest.mark.parametrize("forget", [None, "gate"])
def test_compensated_steps_are_steps(forget):
    x, layer = sequence(20), Aaren(2, 3, forget=forget)
    layer.build(x.shape)
    plain, pairs = (layer.get_initial_state(3, compensated=c) for c in (False, True))
    reset = np.zeros((3, 20), bool)
    reset[1, 11] = True
    for t in range(20):
        a, plain = layer.step(x[:, t] * 3, plain, reset[:, t])
        b, pairs = layer.step(x[:, t] * 3, pairs, reset[:, t])
        close(a, b)
    for a, b in zip(plain, pairs, strict=False):
        close(a, b)


# -- derivatives -----------------------------------------------------------------------------------------


def test_a_backward_pass_of_one_s_own_is_the_one_that_is_used():
    def backward(inputs, outputs, upstream):
        (x, y), (product, _), (up, _) = inputs, outputs, upstream
        return 10.0 * up * y * product, 100.0 * up * x

    function = with_backward(lambda x, y: (x * y, ops.sum(x)), backward, constants=1)
    x, y = np.array([1.0, 2.0], "float32"), np.array([3.0, -1.0], "float32")
    product, total = function(*map(ops.convert_to_tensor, (x, y)))
    close(product, x * y)
    assert float(numpy(total)) == 3
    a, b = oracle.autodiff(lambda x, y: ops.sum(5.0 * function(x, y)[0]), x, y)
    close(a, 50 * y * x * y)
    close(b, 500 * x)


@pytest.mark.parametrize("time", [40, 540])
def test_gradients_of_a_share_that_all_tokens_have(time):
    """A decay a head, (H,), is the sum over batch and time of the decays of every token."""
    rng = np.random.default_rng(0)
    scores, values = rng.normal(size=(2, time, 2)), rng.normal(size=(2, time, 2, 3))
    scores, values = scores.astype("float32"), values.astype("float32")
    g = np.array([-0.05, -1.0], "float32")
    weight = rng.normal(size=values.shape).astype("float32")

    def loss(s, v, g):
        return ops.sum(ops.multiply(aaren.prefix_attention(s, v, log_decay=g), weight))

    got = oracle.autodiff(loss, scores, values, g)
    wanted = oracle.gradients(scores, values, weight, log_decay=g)
    for a, b in zip(got, (*wanted[:2], wanted[2].sum((0, 1))), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * max(1, np.abs(b).max()))
