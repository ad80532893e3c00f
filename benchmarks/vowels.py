"""The search of chapter 14: which noise, and positions or none, for each of its three networks.

python -m benchmarks.vowels    # about ten minutes on two cores; writes benchmarks/vowels.json

Networks, recipe and data are the chapter's own: its cells run up to the one that defines `run`. The judge is
cross-validation inside the training set; the folds are consecutive thirds of each speaker's utterances.
"""

import json
from pathlib import Path

import keras
import nbformat
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CHAPTER, LAST = ROOT / "chapters" / "14-against-a-transformer.ipynb", "def answers("
NOISES, POSITIONS, FOLDS, SEEDS = (0.3, 0.6), (False, True), 3, 3


class Positions(keras.layers.Layer):
    """Adds a learned vector for each step."""

    def build(self, shape):
        self.table = self.add_weight(
            shape=(29, shape[-1]), initializer=keras.initializers.RandomNormal(0, 0.02)
        )

    def call(self, x):
        return x + self.table[: x.shape[1]]


def with_positions(block):
    """The block, with positions added before the first time that it stands in a network."""
    tables = [Positions()]
    return lambda x, mask: block(tables.pop()(x) if tables else x, mask)


def main():
    chapter = {}
    for cell in nbformat.read(CHAPTER, 4).cells:
        if cell.cell_type == "code":
            exec(cell.source, chapter)
            if LAST in cell.source:
                break
    x, mask, y = (chapter[name] for name in ("x_train", "mask_train", "y_train"))
    fold = np.empty(len(y), int)
    for speaker in range(chapter["SPEAKERS"]):
        own = np.flatnonzero(y == speaker)
        fold[own] = np.arange(len(own)) * FOLDS // len(own)
    found = []
    for noise in NOISES:
        chapter["NOISE"] = noise
        for positions in POSITIONS:
            for name, block in chapter["blocks"].items():
                block = with_positions(block) if positions else block
                model, _ = chapter["network"](block)
                chapter["compiled"](model)
                right = []
                for seed in range(100, 100 + SEEDS):  # not the seeds of the final test
                    for k in range(FOLDS):
                        known, held = fold != k, fold == k
                        chapter["run"](model, x[known], mask[known], y[known], seed)
                        p = chapter["answers"](model, x[held], mask[held])
                        right.append(int((p.argmax(axis=-1) == y[held]).sum()))
                found.append(
                    {"network": name, "noise": noise, "positions": positions, "right": right}
                )
                print(
                    f" {name}, noise {noise}, positions {positions}: {sum(right) / SEEDS / len(y):.4f}",
                    flush=True,
                )
    record = {
        "utterances": len(y),
        "folds": FOLDS,
        "seeds": SEEDS,
        "steps": chapter["STEPS"],
        "found": found,
    }
    path = ROOT / "benchmarks" / "vowels.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
