"""One way to write a custom backward pass, for every Keras backend.

`keras.ops.custom_gradient` passes the upstream gradients differently on each backend, and on PyTorch
it knows one output only. This module gives all three the same contract.
"""

import keras


def custom_gradient(function):
    """Let `function` bring its own backward pass.

    Args:
        function: takes tensors and returns `(outputs, backward)`: a tuple of tensors, and a function
            from one upstream gradient per output to a tuple of one gradient per input.

    Returns:
        A function from the same tensors to the tuple of outputs.
    """
    if keras.backend.backend() == "torch":
        return lambda *inputs: _torch_function().apply(function, *inputs)

    def wrapped(*inputs):
        outputs, backward = function(*inputs)

        def unpacked(*upstream, **_):
            # JAX passes the gradients as one tuple, TensorFlow as separate arguments
            return backward(*(upstream[0] if isinstance(upstream[0], tuple) else upstream))

        return tuple(outputs), unpacked

    return keras.ops.custom_gradient(wrapped)


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
