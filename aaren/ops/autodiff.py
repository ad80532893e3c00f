"""A function that brings its own backward pass, for every Keras backend.

`keras.ops.custom_gradient` passes the upstream gradients differently on each backend, and on PyTorch it
knows one output only and no second derivative. Here all three have the same contract.
"""

import keras


def with_backward(forward, backward, constants=0):
    """Give `forward` a backward pass in closed form.

    Both must be made of differentiable operations: second derivatives go through them. On PyTorch the
    outputs are what the second derivative sees of the forward pass, so `backward` may use inputs and outputs
    and nothing else.

    Args:
        forward: tensors to a tuple of tensors.
        backward: `(inputs, outputs, upstream)`, three tuples, to a tuple of one gradient per input.
        constants: how many of the last outputs have no gradient.

    Returns:
        A function as `forward`. Derivatives in forward mode (JAX's `jvp` and `jacfwd`) are refused by JAX.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        import torch

        function = _torch_function(forward, backward, constants)

        def apply(*inputs):
            if torch.jit.is_tracing():
                raise NotImplementedError(
                    "TorchScript, with which Keras writes ONNX on PyTorch, cannot trace a scan over a sequence. Export "
                    "a one-step model (`step` on symbolic inputs), use torch.export, or export from TensorFlow: "
                    'save the model, load it with KERAS_BACKEND="tensorflow", and call `export` there.'
                )
            return function.apply(*inputs)

        return apply
    if backend == "jax":
        import jax

        def remembered(*inputs):
            outputs = forward(*inputs)
            return outputs, (inputs, outputs)

        function = jax.custom_vjp(lambda *inputs: forward(*inputs))
        function.defvjp(remembered, lambda kept, upstream: backward(*kept, upstream))
        return jax.jit(function)  # one compiled call, where the caller has not compiled it already

    def function(*inputs):
        outputs = forward(*inputs)
        return outputs, lambda *upstream, **_: backward(inputs, outputs, upstream)

    return keras.ops.custom_gradient(function)


def _torch_function(forward_pass, backward_pass, constants):
    import torch

    class WithBackward(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*inputs):
            return forward_pass(*inputs)

        @staticmethod
        def setup_context(ctx, inputs, outputs):
            ctx.count = len(inputs)
            if constants:
                ctx.mark_non_differentiable(*outputs[-constants:])
            ctx.save_for_backward(*inputs, *outputs)

        @staticmethod
        def backward(ctx, *upstream):
            kept = ctx.saved_tensors
            return backward_pass(kept[: ctx.count], kept[ctx.count :], upstream)

    return WithBackward
