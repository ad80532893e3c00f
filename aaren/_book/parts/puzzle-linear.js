// The puzzle `linear`, in JavaScript.
// -- stub
function linear(q, k, v) {
  // q, k: T arrays of features, v: T arrays of D values
  // return the outputs of all prefixes: T arrays of D numbers
  // sum(list) and dot(a, b) are there for you
}
// -- answer
function linear(q, k, v) {
  const S = k[0].map(() => v[0].map(() => 0)); // a row for each feature
  const z = k[0].map(() => 0);
  return v.map((value, t) => {
    k[t].forEach((key, i) => {
      z[i] += key;
      value.forEach((x, d) => { S[i][d] += key * x; });
    });
    return value.map((_, d) => dot(q[t], S.map((row) => row[d])) / dot(q[t], z));
  });
}
// -- mistakes
const mistakes = (linear) => {
  const columns = (S) => S[0].map((_, d) => S.map((row) => row[d]));
  const above = (q, S) => columns(S).map((column) => dot(q, column));
  const over = (x, by) => x.map((a) => a / by);
  const made = (read, { causal = true, late = false } = {}) => (q, k, v) => {
    let S = k[0].map(() => v[0].map(() => 0)), z = k[0].map(() => 0);
    const add = (t) => {
      S = S.map((row, i) => row.map((x, d) => x + k[t][i] * v[t][d]));
      z = z.map((x, i) => x + k[t][i]);
    };
    if (!causal) v.forEach((_, t) => add(t));
    return v.map((_, t) => {
      const before = [S, z];
      if (causal) add(t);
      return read(q[t], ...(late ? before : [S, z]));
    });
  };
  const right = (q, S, z) => over(above(q, S), dot(q, z));
  return {
    "every token sees all, later ones too": made(right, { causal: false }),
    "a token is read before it is added": made(right, { late: true }),
    "nothing is divided by the normaliser": made(above),
    "the normaliser does not know the query": made((q, S, z) => over(above(q, S), sum(z))),
    "the table is read by columns: S instead of its transpose": made((q, S, z) => {
      if (S[0].length !== q.length) throw new Error("shapes do not fit");
      return over(S.map((row) => dot(row, q)), dot(q, z));
    }),
    "queries and keys are exchanged": (q, k, v) => linear(k, q, v),
    "the weights are those of the softmax": (q, k, v) => q.map((query, t) => {
      const weights = k.slice(0, t + 1).map((key) => Math.exp(dot(query, key)));
      return v[0].map((_, d) => sum(weights.map((p, i) => p * v[i][d])) / sum(weights));
    }),
    "the query is not used": made((q, S, z) => over(columns(S).map(sum), sum(z))),
  };
};
