// The puzzle `hillis_steele`, in JavaScript.
// -- stub
function hillis_steele(x, op) {
  // x: an array of items; op(left, right) merges two
  // return all prefixes of x
}
// -- answer
function hillis_steele(x, op) {
  for (let d = 1; d < x.length; d *= 2) {
    x = x.map((item, k) => (k < d ? item : op(x[k - d], item)));
  }
  return x;
}
// -- mistakes
const mistakes = (hillis_steele) => {
  const rounds = (step, grow = (d) => 2 * d, stop = 1) => (x, op) => {
    x = [...x];
    for (let d = 1; stop * d < x.length; d = grow(d)) x = step(x, d, op);
    return x;
  };
  const round = (x, d, op) => x.map((item, k) => k < d ? item : op(x[k - d], item));
  const tree = (x, op) => {
    if (x.length === 1) return x[0];
    let half = 1;
    while (2 * half < x.length) half *= 2;
    return op(tree(x.slice(0, half), op), tree(x.slice(half), op));
  };
  return {
    "a round reads what the same round has written": rounds((x, d, op) => {
      for (let k = d; k < x.length; k++) x[k] = op(x[k - d], x[k]);
      return x;
    }),
    "left and right are exchanged": rounds((x, d, op) => x.map((item, k) => k < d ? item : op(item, x[k - d]))),
    "the distance grows by 1 instead of doubling": rounds(round, (d) => d + 1),
    "the last round is missing": rounds(round, undefined, 2),
    "the prefixes are exclusive: each lacks its own item": (x, op) => [op.empty, ...hillis_steele(x, op).slice(0, -1)],
    "the positions that have finished are dropped": rounds((x, d, op) => round(x, d, op).slice(d)),
    "each looks to the right": rounds((x, d, op) => x.map((item, k) => k + d < x.length ? op(item, x[k + d]) : item)),
    "it is the recurrence: each merge waits for the one before": (x, op) => x.reduce((y, item) => [...y, y.length ? op(y[y.length - 1], item) : item], []),
    "each prefix is merged from scratch": (x, op) => x.map((_, k) => tree(x.slice(0, k + 1), op)),
    drawing,
  };
};
