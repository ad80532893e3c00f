"""From a trained Keras model, a chain of layers, to what its file holds."""

from typing import Any

import keras

from aaren.stream.convert import ADVICE, demand, describe, is_kind, remember
from aaren.stream.file import FORMAT, VERSION


def fold(model: Any) -> dict[str, Any]:
    """What the file of a model holds; its stream begins anew."""
    docs, once = [], None  # `once`: the layer that gives one answer for the whole sequence
    for layer in _chain(model):
        new = describe(layer)
        if once:
            why = "before it gives one answer a sequence: use return_sequences=True there"
            demand(not remember(new), layer, f"{once.name} {why}")
        if is_kind(layer, "GlobalAveragePooling1D") or not getattr(layer, "return_sequences", True):
            once = layer
        docs += new
    features = _features(docs, model)
    return dict(format=FORMAT, version=VERSION, name=model.name, features=features, layers=docs)


def _chain(model):
    """The layers that a token passes, in order."""
    if is_kind(model, "ScanRNNAttentionModel", "AttentionRNN"):
        yield from model.parts
    elif is_kind(model, "Sequential", "Functional"):
        for layer in model.layers if is_kind(model, "Sequential") else _links(model):
            yield from _chain(layer)
    else:
        yield model


def _links(model):
    """The layers of a functional model, found from its output back to its input."""
    counts = f"{len(model.inputs)} and {len(model.outputs)}"
    demand(counts == "1 and 1", model, f"it must have one input and one output; got {counts}")
    links, tensor = [], model.outputs[0]
    while True:
        layer, node_index, tensor_index = tensor._keras_history
        node = layer._inbound_nodes[node_index]
        if node.is_input:
            return links[::-1]
        link = len(node.input_tensors) == 1 and tensor_index == 0
        why = "it is no link of a chain: a stream has no branches"
        demand(link, layer, ADVICE.get(type(layer).__name__, why))
        named = {name: part for name, part in node.arguments.kwargs.items() if name != "training"}
        given = [part for part in (*node.arguments.args, *named.values()) if part is not None]
        why = f"it must be called on its input alone; got {len(given)} arguments"
        demand(len(given) == 1 or not isinstance(layer, keras.Layer), layer, why)
        links.append(layer)
        tensor = node.input_tensors[0]


def _features(docs, model):
    """The size of a token: what the first layer that knows it takes."""
    for doc in docs:
        if "layers" in doc:
            return _features(doc["layers"], model)
        if "features" in doc:
            return doc["features"]
        for part in doc.values():
            if isinstance(part, dict):  # a kernel or a scale is the first array
                return part["shape"][0]
    shape = getattr(model, "input_shape", None)
    demand(shape, model, "no layer says how large a token is: call the model on data once")
    return (*shape, 1)[2]  # (batch, time) has one feature
