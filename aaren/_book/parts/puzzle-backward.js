// The puzzle `backward`, in JavaScript.
// -- stub
function backward(kept, grad_o) {
  const [s, v, m, u, o] = kept; // each an array of T arrays: s[k][0], v[k][d]
  // sum(list) and dot(a, b) are there for you
  const byW = null; // T arrays of D numbers; begin here: each is judged by itself
  const byU = null; // T arrays of 1 number
  const byV = null; // T arrays of D numbers
  const byS = null; // T arrays of 1 number
  return [byS, byV, byU, byW]; // null: not yet
}
// -- answer
function backward(kept, grad_o) {
  const [s, v, m, u, o] = kept;
  const y = grad_o.map((g, k) => g.map((x) => x / u[k][0])); // by the numerators
  const h = y.map((row, k) => dot(row, o[k])); // less than 0: by the denominators
  const weight = (k, i) => Math.exp(s[i][0] - m[k][0]);
  const after = s.map((_, i) => s.map((_, k) => k).slice(i)); // outputs that hear i
  const byV = v.map((row, i) => row.map((_, d) => sum(after[i].map((k) => weight(k, i) * y[k][d]))));
  const byS = v.map((row, i) => [dot(row, byV[i]) - sum(after[i].map((k) => weight(k, i) * h[k]))]);
  return [byS, byV];
}
// -- mistakes
const mistakes = () => {
  const made = (scores, { turned = false, sees = (i, k) => i <= k, divide = true, late = false } = {}) => ([s, v, m, u, o], grad) => {
    const g = grad.map((row, k) => row.map((x) => divide ? x / u[k][0] : x));
    let W = s.map((_, k) => s.map(([x], i) => late ? Math.exp(x - m[k][0]) * sees(i, k) : sees(i, k) ? Math.exp(x - m[k][0]) : 0)); // row k, column i
    if (turned) W = W.map((_, k) => W.map((row) => row[k]));
    const back = (x) => W.map((_, i) => x[0].map((_, d) => W.reduce((sum, row, k) => sum + row[i] * x[k][d], 0)));
    const byV = back(g), h = g.map((row, k) => [dot(row, o[k])]);
    return [scores(v.map((row, i) => dot(row, byV[i])), back(h).map(([x]) => x), o.map((row, i) => dot(row, byV[i]))).map((x) => [x]), byV];
  };
  const right = (own, pulled) => own.map((x, i) => x - pulled[i]);
  const kept = (s, v) => {
    let top = -Infinity;
    const m = s.map(([x]) => [top = Math.max(top, x)]);
    const W = m.map(([x], k) => s.slice(0, k + 1).map(([y]) => Math.exp(y - x)));
    const u = W.map((row) => [sum(row)]);
    return [s, v, m, u, W.map((row, k) => v[0].map((_, d) => sum(row.map((p, i) => p * v[i][d])) / u[k][0]))];
  };
  // the chapter's descent: each output is asked for the largest value so far, and the scores alone move
  const steps = 100, votes = [1, 2, 4, 1, 8, 2], values = [4, 1, 3, 2, 1, 5], wanted = [4, 4, 4, 4, 4, 5];
  const forth = (s) => kept(s.map((x) => [x]), values.map((x) => [x]));
  const missed = (o) => o.map(([x], k) => [x - wanted[k]]), loss = (o) => sum(missed(o).map(([x]) => x * x)) / 2;
  const descent = (gradient) => {
    let s = votes.map(Math.log), losses = [];
    for (let step = 0; step <= steps; step++) {
      const all = forth(s), by = step < steps && gradient(all, missed(all[4]), s);
      losses.push(loss(all[4]));
      if (by) s = s.map((x, i) => x - 0.5 * by[i]);
    }
    return { losses, votes: s.map(Math.exp) };
  };
  const differences = (_, grad, s) => s.map((_, i) => {
    const [above, below] = [1e-5, -1e-5].map((by) => loss(forth(s.map((x, j) => i === j ? x + by : x))[4]));
    return (above - below) / 2e-5;
  });
  return {
    "the term with the output is missing from the scores' gradient": made((own) => own),
    "only the term with the output is left of the scores' gradient": made((own, pulled) => pulled.map((x) => -x)),
    "the scores' gradient has the wrong sign": made((own, pulled) => right(own, pulled).map((x) => -x)),
    "sums run along the rows, over i ≤ k, not down the columns, over k ≥ i": made(right, { turned: true }),
    "nothing is divided by the denominator": made(right, { divide: false }),
    "token i is missing from its own output": made(right, { sees: (i, k) => i < k }),
    "a token changes outputs before it too": made(right, { sees: () => true }),
    "masked after the exponential: inf · 0 is NaN": made(right, { late: true }),
    "the output of the token itself is taken for that of the prefix": made((own, pulled, outputs) => right(own, outputs)),
    // an input: what the forward pass keeps of scores (T, 1) and values (T, D)
    kept,
    // the steps on the way: the gradients by the denominators and by the numerators
    more: ([, , , u, o], grad) => {
      const y = grad.map((row, k) => row.map((x) => x / u[k][0]));
      return [y.map((row, k) => [-dot(row, o[k])]), y];
    },
    // where the reader's gradient by the scores leads, right or wrong, beside a referee that knows no calculus
    after: (backward) => {
      const yours = descent((all, grad) => {
        const [byS] = backward(all, grad);
        if (byS.length !== votes.length || byS.some((row) => row.length !== 1 || typeof row[0] !== "number")) throw new TypeError();
        return byS.map(([x]) => x);
      }), other = descent(differences);
      const text = (x, digits = 3) => x < 1e4 ? x.toFixed(digits) : x < Infinity ? x.toExponential(1).replace("+", "") : String(x).replace("Infinity", "∞");
      const [mine, fair] = [yours, other].map(({ losses }) => losses), [first, end, best] = [mine[0], mine[steps], fair[steps]].map((x) => text(x));
      const lost = mine.findIndex((x) => !Number.isFinite(x)), drop = `loss ${first} → ${end} in ${steps} steps`, ends = `Finite differences end at ${best}.`;
      const said = lost > 0 ? `loss ${first}, and after step ${lost} no number. ${ends}`
        : mine.every((x, i) => Math.abs(x - fair[i]) <= 1e-3 * fair[i]) ? `${drop}, as with finite differences.`
        : mine[steps] > mine[0] ? `${drop}: it rises. ${ends}`
        : mine[steps] > 2 * fair[steps] && mine[steps] > 0.98 * mine[steps - 10] ? `${drop}: it stalls. ${ends}`
        : `${drop}, but on another way. ${ends} A loss that falls proves no gradient.`;
      const lines = [["yours", mine], ["finite differences", fair]].map(([name, values]) => ({ name, values }));
      const label = lines.map(({ name, values }) => `${name}, ${[0, 1, 10, steps].map((i) => `${text(values[i])} at step ${i}`).join(", ")}`).join("; ");
      const shown = (name, all) => [name, ...all.map((x) => text(x, 1))];
      return {
        said: `The descent with your gradient by s: ${said}`, label: `The loss over ${steps} steps, on a logarithmic axis: ${label}.`, lines, unit: "step",
        head: ["votes of token", ...votes.map((_, i) => i + 1)],
        rows: [["at first", ...votes], shown("yours", yours.votes), shown("differences", other.votes)],
      };
    },
  };
};
