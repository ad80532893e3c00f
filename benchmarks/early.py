"""Accuracy against earliness: AarenEarlyClassifier beside aeon's early classifiers, on online input.

    python -m benchmarks.early            # about half an hour on one quiet core; goes on where it stopped
    python -m benchmarks.early --quick    # one set, a few steps, one seed: does it run? Nothing is kept

Official splits, three seeds. The archive standardises each series over all its samples, which needs the future: all
models see `running_z_score` of the series instead. Rules are chosen on training series alone. An open question: late
answers may deserve more weight in training. With weights by the square of the clock, cross-validation on the training
split of FacesUCR gave .77 at the end and not .57; on the test split of ECG200 one seed gave .76 and not .75.

`early.json` has a line for each training; each has accuracies, and the share of samples that was waited for:

* "Aaren": `AarenEarlyClassifier`, as it is, with the rules that `fit` takes for four tolerances; null waits for the whole
  series.
* "TEASER": aeon's, over time series forests of 50 trees (WEASEL, its default, would take many times as long).
* "threshold": aeon's `ProbabilityThresholdEarlyClassifier`, over the same, with four thresholds; 2 waits for the whole
  series.

Each of the two of aeon trains a classifier for each tenth of the series; Aaren is one network that answers at every token.
"""

import argparse
import dataclasses
import pathlib
import time

import numpy as np
from aeon.classification.early_classification import TEASER, ProbabilityThresholdEarlyClassifier
from aeon.classification.interval_based import TimeSeriesForestClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from aaren.estimators import AarenEarlyClassifier, running_z_score
from benchmarks import archive, beats

FILE = pathlib.Path(__file__).with_suffix(".json")
TOLERANCES, THRESHOLDS = (0.0, 0.02, 0.05, 0.1, None), (0.6, 0.7, 0.8, 0.9, 2.0)
WAIT = (2.0, 1)  # for a probability that never comes: the answer to the whole series


@dataclasses.dataclass(frozen=True)
class Protocol:
    sets: tuple = ("ECG200", "CBF", "ECGFiveDays", "ArrowHead")
    seeds: tuple = (11, 12, 13)
    steps: int | None = None  # None: those of the recipe
    recipe: str = archive.recipe()


def point(y, labels, earliness):
    return {
        "accuracy": round(float(accuracy_score(y, labels)), 4),
        "balanced accuracy": round(float(balanced_accuracy_score(y, labels)), 4),
        "earliness": round(float(earliness), 4),
    }


def aaren_points(train, test, seed, steps):
    (x, y), (x_test, y_test) = train, test
    early = AarenEarlyClassifier(random_state=seed)
    early = early if steps is None else early.set_params(steps=steps, folds=2)
    early.fit(x, y)
    for tolerance in TOLERANCES:
        early.threshold_, early.in_a_row_ = WAIT if tolerance is None else early.rule(tolerance)
        labels, _ = early.predict(x_test)
        waited = np.mean(early.get_state_info()[:, 2]) / early.n_tokens_
        yield {"tolerance": tolerance} | point(y_test, labels, waited)


def rival(kind, x, seed):
    """One of aeon's, over forests, with an answer after each tenth of the series."""
    lengths = [round(x.shape[2] * tenth / 10) for tenth in range(1, 11)]
    forest = TimeSeriesForestClassifier(n_estimators=50)
    return kind(estimator=forest, classification_points=lengths, random_state=seed)


def teaser_points(train, test, seed, steps):
    (x, y), (x_test, y_test) = train, test
    early = rival(TEASER, x, seed).fit(running_z_score(x), y)
    _, _, waited = early.score(running_z_score(x_test), y_test)
    labels, _ = early.predict(running_z_score(x_test))
    yield point(y_test, labels, waited)


def threshold_points(train, test, seed, steps):
    (x, y), (x_test, y_test) = train, test
    early = rival(ProbabilityThresholdEarlyClassifier, x, seed).fit(running_z_score(x), y)
    for threshold in THRESHOLDS:
        early.probability_threshold = threshold
        labels, _ = early.predict(running_z_score(x_test))
        _, _, waited = early.compute_harmonic_mean(early.get_state_info(), y_test)
        yield {"threshold": threshold} | point(y_test, labels, waited)


MODELS = {"Aaren": aaren_points, "TEASER": teaser_points, "threshold": threshold_points}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="does it run? Nothing is kept")
    parser.add_argument("--only", action="append", choices=MODELS)
    chosen = parser.parse_args()
    protocol = Protocol(("ECGFiveDays",), (11,), 5) if chosen.quick else Protocol()
    record = archive.opened(beats.place(FILE, chosen.quick), protocol)
    for name in protocol.sets:
        train, test = archive.split(name, "TRAIN"), archive.split(name, "TEST")
        for seed in protocol.seeds:
            for model in chosen.only or MODELS:
                keys = {"set": name, "model": model, "seed": seed}
                if not record.get(keys):
                    start = time.perf_counter()
                    points = list(MODELS[model](train, test, seed, protocol.steps))
                    row = {"points": points, "seconds": round(time.perf_counter() - start, 1)}
                    record.add(keys | row)
                    print(keys | row, flush=True)


if __name__ == "__main__":
    archive.one_thread()
    main()
