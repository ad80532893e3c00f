// The puzzle `merge`, in JavaScript.
// -- stub
function merge(left, right) {
  const [m, u, w] = left;
  // return the triple [m, u, w] of both sets
}
// -- answer
function merge(left, right) {
  const m = Math.max(left.m, right.m);
  const ruler = m === -Infinity ? 0 : m; // -Infinity - -Infinity is NaN
  const f = Math.exp(left.m - ruler);
  const g = Math.exp(right.m - ruler);
  return [m, f * left.u + g * right.u, f * left.w + g * right.w];
}
// -- mistakes
const mistakes = () => {
  const made = (pick, top = Math.max, ruled = true) => (a, b) => {
    const m = top(a.m, b.m), ruler = ruled && m === -Infinity ? 0 : m;
    return [m, ...pick(a, b, Math.exp(a.m - ruler), Math.exp(b.m - ruler))];
  };
  const both = (a, b, f, g) => [f * a.u + g * b.u, f * a.w + g * b.w];
  const logaddexp = (a, b) => a === b ? a + Math.log(2) : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
  return {
    "two empty sets give NaN: -inf - (-inf) is not a number": made(both, Math.max, false),
    "the right-hand sums are not rescaled": made((a, b, f) => both(a, b, f, 1)),
    "the left-hand sums are not rescaled": made((a, b, f, g) => both(a, b, 1, g)),
    "the numerators are not rescaled": made((a, b, f, g) => [f * a.u + g * b.u, a.w + b.w]),
    "the denominators are not rescaled": made((a, b, f, g) => [a.u + b.u, f * a.w + g * b.w]),
    "neither sum is rescaled": made((a, b) => both(a, b, 1, 1)),
    "the two factors are exchanged": made((a, b, f, g) => both(a, b, g, f)),
    "the smaller maximum is taken": made(both, Math.min),
    "the right-hand maximum is taken": made(both, (a, b) => b),
    "the maximum is not below 0": made(both, (a, b) => Math.max(a, b, 0)),
    "m is the logarithm of a sum, not the larger maximum, though w / u is right": made(both, logaddexp),
    "m is the logarithm of a sum, not the larger maximum, and two empty sets give NaN": made(both, logaddexp, false),
    "the outputs are added, not the sums": made((a, b, f, g) => [f * a.u + g * b.u, f * a.w / a.u + g * b.w / b.u]),
  };
};
