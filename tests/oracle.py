"""The definitions, and derivatives by each backend's own means."""

import keras

from aaren.ops.definitions import gradients, prefix_attention, weights

__all__ = ["LENGTHS", "autodiff", "gradients", "numpy", "prefix_attention", "weights"]

LENGTHS = [1, 2, 7, 8, 9, 63, 500, 1025]


def numpy(x):
    return keras.ops.convert_to_numpy(x)


def autodiff(function, *arrays):
    """Gradients of a scalar function, by the backend's own means."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(a) for a in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        return [numpy(g) for g in tape.gradient(result, tensors)]
    if backend == "jax":
        import jax

        gradient = jax.jit(jax.grad(function, tuple(range(len(arrays)))))
        return [numpy(g) for g in gradient(*arrays)]
    import torch

    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    return [numpy(g) for g in torch.autograd.grad(function(*tensors), tensors)]
