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
    let top = -Infinity, below = 0, above = v[0].map(() => 0);
    const m = [], u = [], o = [];
    s.forEach(([x], k) => {
      const next = Math.max(top, x), keep = Math.exp(top - next), add = Math.exp(x - next);
      [top, below, above] = [next, below * keep + add, above.map((w, d) => w * keep + add * v[k][d])];
      m.push([top]), u.push([below]), o.push(above.map((w) => w / below));
    });
    return [s, v, m, u, o];
  };
  // the chapter's two descents. Scores are x @ p: of six numbers for six tokens, and of a query for the features of many
  const steps = 100, votes = [1, 2, 4, 1, 8, 2], list = (length, f) => Array.from({ length }, (_, i) => f(i)), column = (row) => row.map((x) => [x]);
  const alone = { // each output is asked for the largest value so far
    start: votes.map(Math.log), rate: 0.5,
    sequences: [{ x: votes.map((_, i) => votes.map((_, j) => +(i === j))), values: [4, 1, 3, 2, 1, 5], wanted: [4, 4, 4, 4, 4, 5] }],
  };
  const query = { // for the value of the highest priority so far
    start: [0, 0], rate: 2,
    sequences: list(16, (n) => {
      const x = list(8, (t) => [2, 3].map((a) => (8 * n + t + 1) ** 2 * Math.sqrt(a) % 1));
      let best = x[0];
      return { x, values: x.map((row) => row[1]), wanted: x.map((row) => (best = row[0] > best[0] ? row : best)[1]) };
    }),
  };
  const forth = (p, { x, values, wanted }) => {
    const all = kept(column(x.map((row) => dot(row, p))), column(values));
    return [all, all[4].map(([o], k) => [o - wanted[k]])];
  };
  const missed = (p, { sequences }) => sum(sequences.flatMap((one) => forth(p, one)[1].map(([e]) => e * e))) / 2;
  const descent = (task, slopes) => {
    let p = task.start, losses = [];
    for (let step = 0; step <= steps; step++) {
      const by = step < steps && slopes(p, task);
      losses.push(missed(p, task));
      if (by) p = p.map((x, j) => x - task.rate * by[j]);
    }
    return { losses, p };
  };
  const differences = (p, task) => p.map((_, j) => {
    const [above, below] = [1e-5, -1e-5].map((by) => missed(p.map((x, i) => i === j ? x + by : x), task));
    return (above - below) / 2e-5;
  });
  return {
    "the term with the output is missing from the scores' gradient": made((own) => own),
    "only the term with the output is left of the scores' gradient": made((own, pulled) => pulled.map((x) => -x)),
    "the term with the output is added to the scores' gradient, not taken off": made((own, pulled) => own.map((x, i) => x + pulled[i])),
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
      const slopes = (p, { sequences }) => {
        const by = p.map(() => 0);
        for (const one of sequences) {
          const [byS] = backward(...forth(p, one));
          if (byS.length !== one.x.length || byS.some((row) => row.length !== 1 || typeof row[0] !== "number")) throw new TypeError();
          one.x.forEach((row, i) => row.forEach((x, j) => { by[j] += x * byS[i][0]; })); // the chain rule
        }
        return by;
      };
      const text = (x, digits = 3) => Math.abs(x) < 1e4 ? x.toFixed(digits).replace("-", "−") : Math.abs(x) < Infinity ? x.toExponential(1).replace("+", "").replace("-", "−") : String(x).replace("Infinity", "∞").replace("-", "−");
      const figure = (task, begin, of, head, first, shown) => {
        const yours = descent(task, slopes), other = descent(task, differences), [mine, fair] = [yours.losses, other.losses];
        const [start, end, best] = [mine[0], mine[steps], fair[steps]].map((x) => text(x)), lost = mine.findIndex((x) => !Number.isFinite(x));
        const drop = `loss ${start} → ${end} in ${steps} steps`, ends = `Finite differences end at ${best}.`;
        const said = lost > 0 ? `loss ${start}, and after step ${lost} no number. ${ends}`
          : mine.every((x, i) => Math.abs(x - fair[i]) <= 1e-3 * fair[i]) ? `${drop}, as with finite differences.`
          : mine.some((x, i) => i > steps / 2 && x > 1.1 * mine[i - 1]) ? `${drop}: it jumps up and down. ${ends}`
          : mine[steps] > mine[0] ? `${drop}: it rises. ${ends}`
          : mine[steps] > 2 * fair[steps] && mine[steps] > 0.98 * mine[steps - 10] ? `${drop}: it stalls. ${ends}`
          : `${drop}, but on another way. ${ends} A loss that falls proves no gradient.`;
        const lines = [["yours", mine], ["finite differences", fair]].map(([name, values]) => ({ name: of + name, values }));
        const label = lines.map(({ name, values }) => `${name}, ${[0, 1, 10, steps].map((i) => `${text(values[i])} at step ${i}`).join(", ")}`).join("; ");
        const row = (name, { p }) => [name, ...p.map((x) => text(shown(x), 1))];
        return {
          said: `${begin}: ${said}`, label: `The loss over ${steps} steps, on a logarithmic axis: ${label}.`, lines, unit: "step",
          head, rows: [["at first", ...first], row("yours", yours), row("differences", other)],
        };
      };
      return [
        figure(alone, "The descent with your gradient by s", "", ["votes of token", ...votes.map((_, i) => i + 1)], votes, Math.exp),
        figure(query, "The descent of κ with the same gradient", "κ, ", ["κ for", "priority", "value"], query.start, (x) => x),
      ];
    },
  };
};
