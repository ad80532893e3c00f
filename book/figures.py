"""Draws the two pictures that no chapter makes: the README's, and the card that links to the book show.

python -m book.figures        writes chapters/_static/rnn-and-scan.png and card.png
"""

from pathlib import Path

import matplotlib.pyplot as plt

from aaren.plots import COLORS

STATIC = Path(__file__).resolve().parent.parent / "chapters" / "_static"
TOKENS = 8


def row(axes, y, letter="", color="white"):
    """A dot for each token: scores and outputs by their letters, the states between them empty."""
    edge = color if letter else COLORS["truth"]
    axes.scatter(
        range(TOKENS), [y] * TOKENS, s=330, c=color, edgecolors=edge, linewidths=1.6, zorder=3
    )
    for i in range(TOKENS if letter else 0):
        axes.text(
            i, y, f"${letter}_{i + 1}$", color="white", ha="center", va="center", size=12, zorder=4
        )


def arrow(axes, start, end):
    """Thin where a token keeps its own state, thick where it takes in another's."""
    along = start[0] == end[0]
    color, width = ("#8A8A8A", 1.2) if along else (COLORS["truth"], 2)
    style = dict(arrowstyle="-|>", color=color, lw=width, shrinkA=9, shrinkB=10)
    axes.annotate("", xy=end, xytext=start, arrowprops=style, zorder=2)


def rnn(axes):
    """States in a row: each waits for the one before it."""
    row(axes, 0, "s", COLORS["score"])
    row(axes, 1.5, "o", COLORS["output"])
    for i in range(TOKENS):
        arrow(axes, (i, 0), (i, 1.5))
        if i:
            arrow(axes, (i - 1, 1.5), (i, 1.5))


def scan(axes):
    """Hillis and Steele: at each level every state takes in the one 1, 2, 4 places to its left."""
    row(axes, 0, "s", COLORS["score"])
    row(axes, 1.5)
    row(axes, 3)
    row(axes, 4.5, "o", COLORS["output"])
    for level in range(3):
        for i in range(TOKENS):
            arrow(axes, (i, 1.5 * level), (i, 1.5 * (level + 1)))
            if i >= 2**level:
                arrow(axes, (i - 2**level, 1.5 * level), (i, 1.5 * (level + 1)))


def finish(axes, height):
    axes.set(xlim=(-0.6, TOKENS - 0.4), ylim=(-0.6, height + 0.6))
    axes.axis("off")


def main():
    plt.style.use("aaren.book")
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 6.0), height_ratios=[2.7, 5.7])
    rnn(top)
    top.set_title(f"As an RNN: {TOKENS} steps, one after another", loc="left", weight="bold")
    scan(bottom)
    bottom.set_title("As a prefix scan: 3 steps, all tokens at once", loc="left", weight="bold")
    finish(top, 1.5)
    finish(bottom, 4.5)
    figure.savefig(STATIC / "rnn-and-scan.png", dpi=200)
    plt.close(figure)

    figure = plt.figure(figsize=(12, 6.3), layout="none")
    figure.text(
        0.05, 0.62, "Attention\nas an RNN", size=62, weight="bold", va="center", linespacing=1.1
    )
    figure.text(
        0.05, 0.25, "From one softmax to a layer that trains\nas a parallel scan and streams\nin constant memory",
        size=20, va="center", linespacing=1.4,
    )  # fmt: skip
    axes = figure.add_axes([0.55, 0.08, 0.43, 0.84])
    scan(axes)
    finish(axes, 4.5)
    figure.savefig(STATIC / "card.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    main()
