"""The file: a JSON object as `aaren/stream.schema.json` describes it, its arrays in base64."""

import base64
import functools
import json
import zlib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

FORMAT, VERSION = "aaren.stream", 1
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}
TYPES |= {"integer": int, "number": (int, float)}


def encode(array: Any, dtype: str = "float32") -> dict[str, Any]:
    """An array as the file has it."""
    array = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": dtype, "shape": list(array.shape), "data": data}


def decode(doc: dict[str, Any]) -> np.ndarray:
    """The array (float64) that the file has."""
    data = base64.b64decode(doc["data"], validate=True)
    array = np.frombuffer(data, np.dtype(doc["dtype"]).newbyteorder("<"))
    return array.reshape(doc["shape"]).astype("float64")


def array_in(doc, name, shape, default=None):
    """The array of that name, whose shape must fit; None fits any size."""
    if name not in doc and default is not None:
        return default
    array = decode(doc[name])
    check_shape(name, array.shape, shape)
    return array


def check_shape(name, got, shape, batch=False):
    """Raise where a shape is not `shape`, in which None fits any size; with a batch, sizes may come before it."""
    end = got[max(0, len(got) - len(shape)) :] if batch else got
    fits = len(end) == len(shape) and all(e in (None, g) for g, e in zip(end, shape))
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    require(fits, name, f"have shape ({sizes})", got)


def require(fits, where, what, value):
    """Raise, plainly, where something does not fit."""
    if not fits:
        raise ValueError(f"{where} must {what}; got {value!r:.80}.")


def write(document, path):
    """Write a document, with a checksum that tells whether it changes on the way."""
    text = json.dumps(document | {"checksum": _checksum(document)})
    Path(path).write_text(text, encoding="utf-8")


def _checksum(document):
    return zlib.crc32(json.dumps(document, sort_keys=True).encode())


# -- is a document what the schema says? ---------------------------------------------------------------------------


@functools.cache
def schema() -> dict[str, Any]:
    """The description of the file: JSON Schema, draft 2020-12."""
    text = resources.files("aaren").joinpath("stream.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def check_document(document):
    """Raise where a document is none of ours, of a later version, not as the schema says, or changed on the way."""
    ours = isinstance(document, dict) and document.get("format") == FORMAT
    what = f'be an object with "format": "{FORMAT}", as aaren.stream.save writes it'
    require(ours, "it", what, document)
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        advice = f"this aaren reads up to {VERSION}. Install a later aaren."
        raise ValueError(f"it has version {version} of the format, and {advice}")
    _check(document, schema(), "it")
    if "checksum" in document:
        given = document["checksum"]
        right = _checksum({name: part for name, part in document.items() if name != "checksum"})
        what = f"be {right}: the file has changed. (One that you changed yourself goes without)"
        require(given == right, "it.checksum", what, given)


def _check(value, rule, where):
    """Raise where `value` breaks `rule`: the part of JSON Schema that stream.schema.json uses."""
    if "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    if "oneOf" in rule:  # descriptions that their `kind` tells apart
        kinds = {option["properties"]["kind"]["const"]: option for option in rule["oneOf"]}
        kind = value.get("kind") if isinstance(value, dict) else None
        _check(kind, {"enum": list(kinds)}, f"{where}.kind")
        rule = kinds[kind]
    if "type" in rule:
        fits = isinstance(value, TYPES[rule["type"]])
        fits &= rule["type"] == "boolean" or not isinstance(value, bool)  # a bool is an int
        require(fits, where, f"be of type {rule['type']}", value)
    options = rule.get("enum", [rule["const"]] if "const" in rule else None)
    if options is not None:
        fits = any(type(value) is type(option) and value == option for option in options)
        require(fits, where, f"be {' or '.join(map(json.dumps, options))}", value)
    if "minimum" in rule:
        require(value >= rule["minimum"], where, f"be at least {rule['minimum']}", value)
    if "maximum" in rule:
        require(value <= rule["maximum"], where, f"be at most {rule['maximum']}", value)
    if isinstance(value, list):
        for i, item in enumerate(value):
            _check(item, rule.get("items", {}), f"{where}[{i}]")
    if isinstance(value, dict):
        known, other = rule.get("properties", {}), rule.get("additionalProperties", {})
        for name in rule.get("required", ()):
            require(name in value, where, f"have {name}", sorted(value))
        for name, part in value.items():
            require(name in known or other is not False, where, f"have no {name}", sorted(value))
            _check(part, known.get(name, other), f"{where}.{name}")
