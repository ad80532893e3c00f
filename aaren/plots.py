"""The colours of the book."""

COLORS = {
    "score": "#0072B2",
    "value": "#009E73",
    "output": "#D55E00",
    "maximum": "#A66F00",
    "denominator": "#7A4FA3",
    "numerator": "#B5487F",
    "truth": "#333333",
    "aaren": "#D55E00",
    "transformer": "#0072B2",
    "linear": "#009E73",
    "gru": "#7A4FA3",
    "cnn": "#A66F00",
    "rocket": "#555555",
    "light": "#D9D9D9",
}
