// The puzzle `softmax`, in JavaScript.
// -- stub
function softmax(scores) {
  // scores: an array of numbers
  // return the weights: positive, of sum 1, for scores of any size
}
// -- answer
function softmax(scores) {
  const top = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}
// -- mistakes
const mistakes = (softmax) => {
  const powers = (scores, shift) => scores.map((s) => Math.exp(s - shift));
  const shifted = (shift) => (scores) => {
    const e = powers(scores, shift(scores)), all = sum(e);
    return e.map((x) => x / all);
  };
  return {
    "no maximum is subtracted": shifted(() => 0),
    "the minimum is subtracted": shifted((s) => Math.min(...s)),
    "the mean is subtracted": shifted((s) => sum(s) / s.length),
    "the maximum is started at 0": shifted((s) => Math.max(0, ...s)),
    "the size of the largest score is subtracted, without its sign": shifted((s) => Math.max(...s.map(Math.abs))),
    "the weights are not divided by their sum": (s) => powers(s, Math.max(...s)),
    "the weights are divided by their number": (s) => powers(s, Math.max(...s)).map((x) => x / s.length),
    "the powers are those of 2": (s) => softmax(s.map((x) => x * Math.LN2)),
    "the scores themselves are divided by their sum": (s) => s.map((x) => x / sum(s)),
  };
};
