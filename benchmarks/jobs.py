"""The list of what is measured: names, functions, and the targets that the project has set itself."""

from dataclasses import dataclass, field


@dataclass
class Job:
    """A measurement: a function of this package that is called in a process of its own."""

    name: str
    call: tuple  # "module.function" and its arguments
    targets: dict = field(default_factory=dict)  # by the name of a ratio in the result

    @property
    def module(self):
        return "benchmarks." + self.call[0].split(".")[0]

    @property
    def function(self):
        return self.call[0].split(".")[1]

    @property
    def arguments(self):
        return self.call[1:]


# the longest sequence that each is tried on: quadratic memory, and loops, end early
LONGEST = {
    "Aaren, blocked": 65_536,
    "Aaren, associative scan": 16_384,
    "Aaren, sequential": 4096,
    "Keras attention": 4096,
    "PyTorch attention": 4096,
    "Keras GRU": 4096,
    "Keras LSTM": 4096,
}
LENGTHS = (16, 64, 256, 1024, 4096, 16_384, 65_536)


def names(length):
    return [name for name, longest in LONGEST.items() if length <= longest]


def jobs(quick):
    lengths = (64, 256) if quick else LENGTHS
    for length in lengths:
        targets = {
            "Keras attention": "at least 80",
            "PyTorch attention": "at least 20",
            "Keras GRU": "at least 5",
        }
        yield Job(
            f"training time, T = {length}",
            ("training.time", length, names(length), 2 if quick else 15),
            targets if length == 4096 else {},
        )
    for name, longest in LONGEST.items():
        few = [n for n in LENGTHS if 1024 <= n <= longest]
        if not quick:
            yield Job(f"training memory: {name}", ("training.memory", name, few))

    tokens, rounds = (256, 1) if quick else (4096, 3)
    yield Job("stream time", ("streams.time", tokens, rounds))
    for name in ("Aaren", "Transformer, KV cache"):
        yield Job(f"stream memory: {name}", ("streams.memory", name, tokens))

    def ratio(name, target, *call):
        return Job(name, call, {"ratio": target})

    long, middle = (512, 256) if quick else (4096, 1024)
    few, many = (5, 10) if quick else (21, 35)
    yield ratio(
        f"training step, T = {long}: Aaren / its projections only",
        "at most 1.5",
        *("training.projections", long, few),
    )
    yield ratio(
        f"training step, T = {middle}, scan alone: associative_scan / blocked",
        "at least 8",
        *("training.scans", middle, few),
    )
    yield ratio(
        "twice the length: time or peak memory of a training step",
        "at most 2.2",
        *("training.twice", 4096 if quick else 32_768, 5),
    )
    yield ratio(
        "a million tokens, batch 1, forward and backward: peak GiB",
        "under 24",
        *("training.peak", 2**16 if quick else 2**20),
    )
    yield ratio("forward, T = 32: Aaren / Keras GRU", "at most 1", "training.short", 32, many)
    yield ratio(
        f"training step, T = {long}: with a forget gate / without",
        *("at most 1.3", "forgetting.gate", long, few),
    )
    yield ratio(
        f"training step, T = {long}: the last output alone / mean pooling",
        *("at most 1.2", "forgetting.last", long, few),
    )
    far, width = (1024, 64) if quick else (16_384, 256)
    yield ratio(
        f"training step, T = {far}: window of {width} / a constant rate",
        *("", "forgetting.window", far, width, few),
    )
    yield ratio(
        f"training step, T = {far}: PyTorch's banded attention / window of {width}",
        *("at least 1", "forgetting.banded", far, width, 3),
    )
    yield ratio(
        "training step: 64 short episodes padded / packed with resets",
        *("at least 1", "forgetting.packed", 64, 128 if quick else 512, few),
    )
    yield ratio(
        f"the scan alone, T = {long}, forward and backward / four passes over the values",
        *("at most 2", "forgetting.limit", long, few),
    )
    late = 1000 if quick else 100_000
    yield ratio(f"step at token {late:,} / at token 10", "at most 1.1", "streams.late", late, many)
    yield ratio("error of outputs against float64", "at most 3e-6", "accuracy.outputs")
    yield ratio("error of gradients against float64", "at most 1e-5", "accuracy.gradients")
