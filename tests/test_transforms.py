"""Second derivatives on every backend, and what JAX and PyTorch do with functions: maps, Jacobians, compilation."""

import keras
import numpy as np
import pytest
from keras import ops
from oracle import numpy

import aaren

pytestmark = pytest.mark.backends
BACKEND = keras.backend.backend()
about = {
    name: pytest.mark.skipif(name != BACKEND, reason=f"about {name}") for name in ("jax", "torch")
}

WAYS = {"plain": [], "decay, reset, mask": ["decays", "reset", "mask"]}
WAYS["window, all"] = [*WAYS["decay, reset, mask"], "window"]
WINDOW = 6


def example(time=40, spread=1.0, seed=0):
    """Scores (1, T, 2), values (1, T, 2, 3), decays (1, T, 2); reset and mask (1, T)."""
    rng = np.random.default_rng(seed)
    return dict(
        scores=rng.normal(size=(1, time, 2)) * spread,
        values=rng.normal(size=(1, time, 2, 3)),
        decays=-np.exp(rng.normal(size=(1, time, 2)) - 1),
        reset=rng.random((1, time)) < 0.1,
        mask=rng.random((1, time)) < 0.8,
    )


def scan(arrays, way):
    """The package's outputs as a function of scores, values and, where the way has them, decays."""
    options = {n: ops.convert_to_tensor(arrays[n]) for n in ("reset", "mask") if n in way}
    options["window"] = WINDOW if "window" in way else None

    def function(scores, values, decays=None):
        return aaren.prefix_attention(scores, values, log_decay=decays, **options)

    return function


def quadratic(arrays, way):
    """The same as a softmax over a matrix, for each backend's own derivatives."""
    reset, mask = (arrays[name][0] if name in way else None for name in ("reset", "mask"))
    time = arrays["scores"].shape[1]
    counts = np.ones(time, bool) if mask is None else mask
    seen = np.tril(np.ones((time, time), bool)) & counts
    if reset is not None:
        episode = np.cumsum(reset & counts)
        seen &= episode[:, None] == episode
    if "window" in way:
        place = np.cumsum(counts)
        seen &= place[:, None] - place < WINDOW
    k, i, step = np.ogrid[:time, :time, :time]
    between = ((i < step) & (step <= k) & counts).astype("float64")  # the decays between i and k

    def function(scores, values, decays=None):
        s = ops.transpose(scores, (0, 2, 1))[:, :, None]
        if decays is not None:
            g = ops.where(arrays["reset"][..., None], 0.0 * decays, decays)
            s = s + ops.einsum("kil,blh->bhki", ops.cast(between, scores.dtype), g)
        e = ops.exp(ops.where(seen, s - ops.max(ops.where(seen, s, -1e30), -1, True), -1e30))
        u = ops.sum(e, -1, keepdims=True)
        p = e * ops.cast(seen, e.dtype) / ops.where(u == 0, 1.0 + u, u)
        return ops.einsum("bhki,bihd->bkhd", p, values)

    return function


def second(function, arrays, directions):
    """The derivative of (the gradient of a loss along `directions`): one product with the Hessian."""
    if BACKEND == "jax":
        import jax

        def along(*inputs):
            gradients = jax.grad(loss(function), tuple(range(len(inputs))))(*inputs)
            return sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))

        return [np.asarray(g) for g in jax.grad(along, tuple(range(len(arrays))))(*arrays)]
    if BACKEND == "torch":
        import torch

        inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
        gradients = torch.autograd.grad(loss(function)(*inputs), inputs, create_graph=True)
        along = sum((g * torch.tensor(d)).sum() for g, d in zip(gradients, directions, strict=True))
        return [numpy(g) for g in torch.autograd.grad(along, inputs)]
    import tensorflow as tf

    inputs = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as outer:
        outer.watch(inputs)
        with tf.GradientTape() as inner:
            inner.watch(inputs)
            result = loss(function)(*inputs)
        gradients = inner.gradient(result, inputs)
        along = sum(tf.reduce_sum(g * d) for g, d in zip(gradients, directions, strict=True))
    return [numpy(g) for g in outer.gradient(along, inputs)]


def loss(function):
    def value(*inputs):
        outputs = function(*inputs)
        weights = np.linspace(-1, 1, int(np.prod(outputs.shape))).reshape(outputs.shape)
        return ops.sum(ops.cast(weights, outputs.dtype) * outputs * outputs)

    return value


def in_float64(function):
    if BACKEND != "jax":
        return function()
    import jax

    with jax.enable_x64(True):
        return function()


@pytest.mark.parametrize("spread", [50, 200])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_second_derivatives_are_finite_and_right(way, spread):
    arrays = example(spread=spread)
    inputs = [
        arrays[name] for name in ("scores", "values", "decays")[: 3 if "decays" in way else 2]
    ]
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=a.shape) for a in inputs]
    wanted = in_float64(lambda: second(quadratic(arrays, way), inputs, directions))
    assert all(w.dtype == "float64" and np.abs(w).max() > 1e-4 for w in wanted)
    exact = in_float64(lambda: second(scan(arrays, way), inputs, directions))
    rough = [[a.astype("float32") for a in part] for part in (inputs, directions)]
    for results, limit in ((exact, 1e-9), (second(scan(arrays, way), *rough), 1e-3)):
        for got, want in zip(results, wanted, strict=True):
            assert np.abs(got - want).max() <= limit * max(np.abs(want).max(), 1.0)


# -- JAX -------------------------------------------------------------------------------------------------------


def small():
    arrays = example(time=9)
    way = WAYS["decay, reset, mask"]
    inputs = [arrays[name].astype("float32") for name in ("scores", "values", "decays")]
    return scan(arrays, way), quadratic(arrays, way), inputs


def near(a, b):
    a, b = numpy(a), numpy(b)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, atol=1e-4)


@about["jax"]
def test_jax_jacobians_hessians_and_maps():
    import jax

    function, reference, inputs = small()
    for argument in range(3):
        near(
            jax.jacrev(function, argument)(*inputs),
            jax.jacrev(reference, argument)(*inputs),
        )
    near(jax.hessian(loss(function))(*inputs), jax.hessian(loss(reference))(*inputs))
    many = [np.stack([a, 0.5 * a, 2 * a]) for a in inputs]
    for f in (function, jax.grad(loss(function))):
        near(jax.vmap(f)(*many), np.stack([f(*some) for some in zip(*many, strict=True)]))


@about["jax"]
@pytest.mark.parametrize("kind", ["jvp", "jacfwd"])
def test_jax_forward_mode_is_refused(kind):
    import jax

    function, _, inputs = small()
    with pytest.raises(TypeError, match=r"forward-mode.*custom_vjp"):
        if kind == "jvp":
            jax.jvp(function, inputs, inputs)
        else:
            jax.jacfwd(function)(*inputs)


# -- PyTorch ---------------------------------------------------------------------------------------------------


def tensors():
    import torch

    function, reference, inputs = small()
    return function, reference, [torch.tensor(a) for a in inputs]


@about["torch"]
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_torch_func():
    import torch

    function, reference, inputs = tensors()
    near(torch.func.grad(loss(function))(*inputs), torch.func.grad(loss(reference))(*inputs))
    near(torch.func.jacrev(function)(*inputs), torch.func.jacrev(reference)(*inputs))
    twice = [torch.func.jacrev(torch.func.jacrev(loss(f)))(*inputs) for f in (function, reference)]
    near(*twice)
    many = [torch.stack([a, 0.5 * a, 2 * a]) for a in inputs]
    for f in (function, torch.func.grad(loss(function))):
        near(torch.vmap(f)(*many), torch.stack([f(*some) for some in zip(*many, strict=True)]))
    with pytest.raises(RuntimeError, match="jvp"):
        torch.func.jvp(function, tuple(inputs), tuple(inputs))


def gradients_of(run, inputs):
    import torch

    inputs = [a.clone().requires_grad_() for a in inputs]
    return torch.autograd.grad(run(*inputs), inputs)


@about["torch"]
def test_torch_hooks_and_checkpoints_see_every_saved_tensor():
    import torch
    from torch.utils.checkpoint import checkpoint

    function, _, inputs = tensors()
    plain = gradients_of(loss(function), inputs)
    count = 0

    def pack(tensor):
        nonlocal count
        count += 1
        return tensor.detach().numpy()

    with torch.autograd.graph.saved_tensors_hooks(pack, torch.from_numpy):
        hooked = gradients_of(loss(function), inputs)
    assert count >= 8  # inputs and outputs of the scan
    again = gradients_of(lambda *x: checkpoint(loss(function), *x, use_reentrant=False), inputs)
    for a, b, c in zip(plain, hooked, again, strict=True):
        near(a, b)
        near(a, c)
