// The puzzle `blocked`, in JavaScript.
// -- stub
function blocked(s, v, C) {
  // s: T arrays of one score each, v: T arrays of D values each
  // return the outputs of all prefixes: T arrays of D numbers
  // Math.exp is counted; ** cannot be
  // sum(list) and dot(a, b) are there for you
}
// -- answer
function blocked(s, v, C) {
  let m = -Infinity, u = 0, w = v[0].map(() => 0); // of all blocks before
  const outputs = [];
  for (let first = 0; first < s.length; first += C) {
    const before = { m, u, w };
    let top = before.m;
    for (let k = first; k < Math.min(first + C, s.length); k++) {
      top = Math.max(top, s[k][0]);
      const carried = Math.exp(before.m - top);
      u = carried * before.u;
      w = before.w.map((x) => carried * x);
      for (let i = first; i <= k; i++) {
        const weight = Math.exp(s[i][0] - top);
        u += weight;
        w = w.map((x, d) => x + weight * v[i][d]);
      }
      outputs.push(w.map((x) => x / u));
    }
    m = top;
  }
  return outputs;
}
// -- mistakes
const mistakes = () => {
  // sums are [u, ...w]: what a block makes alone, and what it carries
  const made = ({ carry = (top, m) => Math.exp(top - m), sees = (i, k) => i <= k, own = false, cut = false, join = (alone, past) => alone.map((x, i) => x + past[i]), forgets = false, late = false, local = false }) => (s, v, C) => {
    let top = -Infinity, past = [0, ...v[0].map(() => 0)], outputs = [];
    for (let first = 0; first < s.length; first += C) {
      const block = s.slice(first, first + C).map(([x]) => x);
      if (cut && block.length < C) break;
      let now = top, m = block.map((x) => now = Math.max(now, x)), before = past;
      if (own) m = m.map(() => now);
      block.forEach((_, k) => {
        const weights = block.map((x, i) => late ? Math.exp(x - m[k]) * sees(i, k) : sees(i, k) ? Math.exp(x - m[k]) : 0);
        const alone = before.map((_, d) => weights.reduce((sum, p, i) => sum + p * (d ? v[first + i][d - 1] : 1), 0));
        const factor = carry(top, m[k]), y = join(alone, before.map((x) => factor * x));
        past = forgets ? alone : y;
        outputs.push(y.slice(1).map((x) => x / y[0]));
      });
      top = local ? -Infinity : now;
    }
    return outputs;
  };
  return {
    "each block begins anew: nothing is carried": made({ local: true }),
    "the maximum is carried, the sums are not": made({ carry: () => 0 }),
    "what is carried is not rescaled to the new maximum": made({ carry: (top) => top > -Infinity ? 1 : 0 }),
    "only the block before is carried, not all before it": made({ forgets: true }),
    "the numerator is carried, the denominator is not": made({ join: (alone, past) => alone.map((x, i) => i ? x + past[i] : x) }),
    "one maximum serves a whole block: weights underflow to 0 / 0": made({ own: true }),
    "masked after the exponential: inf · 0 is NaN": made({ late: true }),
    "a prefix sees its whole block, later tokens too": made({ sees: () => true }),
    "token k is missing from its own prefix": made({ sees: (i, k) => i < k }),
    "a last block that is shorter is left out": made({ cut: true }),
    "all T × T weights are computed: nothing is saved by the blocks": (s, v) => {
      let top = -Infinity;
      return s.map(([x], k) => {
        top = Math.max(top, x);
        const weights = s.map(([y], i) => Math.exp(i <= k ? y - top : -Infinity)), u = sum(weights);
        return v[0].map((_, d) => weights.reduce((sum, p, i) => sum + p * v[i][d], 0) / u);
      });
    },
    "it is the recurrence: each token waits for the one before": (s, v) => {
      let m = -Infinity, u = 0, w = v[0].map(() => 0);
      return s.map(([x], k) => {
        const top = Math.max(m, x), keep = Math.exp(m - top), add = Math.exp(x - top);
        [m, u, w] = [top, keep * u + add, w.map((y, d) => keep * y + add * v[k][d])];
        return w.map((y) => y / u);
      });
    },
  };
};
