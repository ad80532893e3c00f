// The puzzle `cell`, in JavaScript.
// -- stub
function cell(state, score, value) {
  const [m, u, w] = state; // w and value: arrays of as many numbers
  // return the new state [m, u, w]
}
// -- answer
function cell(state, score, value) {
  const [m, u, w] = state;
  const top = Math.max(m, score);
  const ruler = top === -Infinity ? 0 : top; // -Infinity - -Infinity is NaN
  const keep = Math.exp(m - ruler);
  const add = Math.exp(score - ruler);
  return [top, u * keep + add, w.map((x, d) => x * keep + add * value[d])];
}
// -- mistakes
const mistakes = () => {
  // factors of the old sums, u and w, and of the new term, in u and w
  const made = (factors, top = Math.max) => ([m, u, w], s, v) => {
    const max = top(m, s), ruler = max === -Infinity ? 0 : max;
    const [keepU, addU, keepW = keepU, addW = addU] = factors(Math.exp(m - ruler), Math.exp(s - ruler), m, s);
    return [max, u * keepU + addU, w.map((x, d) => x * keepW + addW * v[d])];
  };
  const both = (old, now) => [old, now];
  return {
    "the old sums are not rescaled": made((old, now) => [1, now]),
    "the old numerator is not rescaled": made((old, now) => [old, now, 1]),
    "the old denominator is not rescaled": made((old, now) => [1, now, old]),
    "the two factors are exchanged": made((old, now) => [now, old]),
    "the new term counts 1, whatever its score": made((old) => [old, 1]),
    "the new value enters without its weight": made((old, now) => [old, now, old, 1]),
    "the maximum is the newest score": ([m, u, w], s, v) => {
      const old = Math.exp(m - s), now = Math.exp(s - s);
      return [s, u * old + now, w.map((x, d) => x * old + now * v[d])];
    },
    "the maximum is not below 0": made(both, (m, s) => Math.max(m, s, 0)),
    "the smaller score is taken for the maximum": ([m, u, w], s, v) => {
      const top = Math.min(m, s), old = Math.exp(m - top), now = Math.exp(s - top);
      return [top, u * old + now, w.map((x, d) => x * old + now * v[d])];
    },
    "no maximum is subtracted": made((old, now, m, s) => [1, Math.exp(s)]),
    "the new term is measured by the old maximum": made((old, now, m, s) => [old, Math.exp(s - m)]),
  };
};
