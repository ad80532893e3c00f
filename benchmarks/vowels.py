"""The search of chapter 14: which rate, which noise, and positions or none, for each of its three networks.

python -m benchmarks.vowels    # about a quarter of an hour on two cores; adds what benchmarks/vowels.json lacks

Networks, recipe and data are the chapter's own: its cells run up to the one that defines `run`. The judge is
cross-validation inside the training set; the folds are consecutive thirds of each speaker's utterances. Noise and
positions are tried at the rate in the middle, the other rates with the larger noise and without positions.
"""

import contextlib
import json
from pathlib import Path

import keras
import nbformat
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CHAPTER, LAST = ROOT / "chapters" / "14-against-a-transformer.ipynb", "def answers("
FILE, FOLDS, SEEDS = ROOT / "benchmarks" / "vowels.json", 3, 3
# rate, noise, positions
GRID = (
    *((0.006, noise, positions) for noise in (0.3, 0.6) for positions in (False, True)),
    *((rate, 0.6, False) for rate in (0.003, 0.012)),
)


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
    with contextlib.chdir(CHAPTER.parent):
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
    asked = {"utterances": len(y), "folds": FOLDS, "seeds": SEEDS, "steps": chapter["STEPS"]}
    found = json.loads(FILE.read_text("utf-8"))["found"] if FILE.exists() else []
    for rate, noise, positions in GRID:
        for name, block in chapter["blocks"].items():
            row = {"network": name, "rate": rate, "noise": noise, "positions": positions}
            if any(row.items() <= old.items() for old in found):
                continue
            chapter["NOISE"] = noise
            model, _ = chapter["network"](with_positions(block) if positions else block)
            chapter["compiled"](model, rate)
            right = []
            for seed in range(100, 100 + SEEDS):  # not the seeds of the final test
                for k in range(FOLDS):
                    known, held = fold != k, fold == k
                    chapter["run"](model, x[known], mask[known], y[known], seed)
                    p = chapter["answers"](model, x[held], mask[held])
                    right.append(int((p.argmax(axis=-1) == y[held]).sum()))
            found.append({**row, "right": right})
            write(asked, found)
            print(f" {row}: {sum(right) / SEEDS / len(y):.4f}", flush=True)


def write(asked, found):
    """The record, a line for each setting."""
    lines = ",\n".join(map(json.dumps, found))
    FILE.write_text(f'{json.dumps(asked)[:-1]},\n"found": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
