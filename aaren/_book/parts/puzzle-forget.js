// The puzzle `forget`, in JavaScript.
// -- stub
function forget(state, score, value, g) {
  const [m, u, w] = state; // w and value: arrays of as many numbers
  // return the state [m, u, w] with one token more
}
// -- answer
function forget(state, score, value, g) {
  const [m, u, w] = state;
  const old = m + g; // the only new line
  const top = Math.max(old, score);
  const ruler = top === -Infinity ? 0 : top; // -Infinity - -Infinity is NaN
  const keep = Math.exp(old - ruler);
  const add = Math.exp(score - ruler);
  return [top, u * keep + add, w.map((x, d) => x * keep + add * value[d])];
}
// -- mistakes
const mistakes = (forget) => {
  const cell = (state, s, v) => forget(state, s, v, 0);
  // factors of the old sums, u and w
  const made = (factors, kept = (m, g) => m + g) => ([m, u, w], s, v, g) => {
    const top = Math.max(kept(m, g), s), ruler = top === -Infinity ? 0 : top, add = Math.exp(s - ruler);
    const [keepU, keepW = keepU] = factors(m, g, ruler, top);
    return [top, u * keepU + add, w.map((x, d) => x * keepW + add * v[d])];
  };
  return {
    "nothing is forgotten": cell,
    "the new token is forgotten too": (state, s, v, g) => { const [m, u, w] = cell(state, s, v); return [m + g, u, w]; },
    "only the new token is forgotten": (state, s, v, g) => cell(state, s + g, v),
    "the sums forget, the maximum does not": made((m, g, ruler) => [Math.exp(m + g - ruler)], (m) => m),
    "the maximum forgets, the sums do not": made((m, g, ruler, top) => [Math.exp(m - top)]),
    "it forgets twice, in the maximum and in the sums": made((m, g, ruler) => [Math.exp(m + g - ruler) * Math.exp(g)]),
    "the sign of g is reversed": (state, s, v, g) => forget(state, s, v, -g),
    "g is taken for the share itself, not for its logarithm": (state, s, v, g) => forget(state, s, v, Math.log(Math.abs(g))),
    "the denominator forgets, the numerator does not": made((m, g, ruler, top) => [Math.exp(m + g - ruler), Math.exp(m - top)]),
  };
};
