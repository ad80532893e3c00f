"""One way to write a custom backward pass, for every Keras backend.

`keras.ops.custom_gradient` passes the upstream gradients differently on each backend, and on PyTorch
it knows one output only. This module gives all three the same contract.
"""

import functools

import keras


@functools.cache
def custom_gradient(function):
    """Let `function` bring its own backward pass.

    Args:
        function: takes tensors and returns `(outputs, backward)`: a tuple of tensors, and a function
            from one upstream gradient per output to a tuple of one gradient per input.

    Returns:
        A function from the same tensors to the tuple of outputs, the same one for the same `function`.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        return functools.partial(_torch_function().apply, function)

    def wrapped(*inputs):
        outputs, backward = function(*inputs)

        def unpacked(*upstream, **_):
            # JAX passes the gradients as one tuple, TensorFlow as separate arguments
            return backward(*(upstream[0] if isinstance(upstream[0], tuple) else upstream))

        return tuple(outputs), unpacked

    differentiable = keras.ops.custom_gradient(wrapped)
    if backend == "jax":
        import jax

        return jax.jit(
            differentiable
        )  # one compiled call, where the caller has not compiled it already
    return differentiable


def _torch_function():
    import torch

    class WithBackward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, function, *inputs):
            outputs, ctx.backward_pass = function(*inputs)
            return tuple(outputs)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, *upstream):
            return None, *ctx.backward_pass(*upstream)

    return WithBackward
