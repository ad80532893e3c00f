// The puzzle `block`, in JavaScript.
// -- stub
function block(x, norm1, attend, norm2, net) {
  // x: T tokens, each an array of F numbers
  // norm1(y), norm2(y): each token normalised
  // attend(y): the Aaren layer over all tokens, then W_o
  // net(y): the small network, for each token
  // add(a, b): the sum; every part takes and returns T arrays of F numbers
}
// -- answer
function block(x, norm1, attend, norm2, net) {
  const y = add(x, attend(norm1(x)));
  return add(y, net(norm2(y)));
}
// -- mistakes
const mistakes = (block) => {
  const made = (pick) => (x, norm1, attend, norm2, net) => pick(x, { norm1, attend, norm2, net, y: add(x, attend(norm1(x))) });
  const plus = (x, part) => add(x, part(x));
  const weight = (rows, columns, seed) => Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => ((3 * i + 5 * j + i * j + seed) % 7 - 3) / 2));
  const times = (y, W) => y.map((row) => W[0].map((_, j) => sum(row.map((a, i) => a * W[i][j]))));
  const norm1 = (y) => y.map((row) => {
    const mean = sum(row) / row.length, spread = Math.sqrt(sum(row.map((a) => (a - mean) ** 2)) / row.length + 1e-5);
    return row.map((a) => (a - mean) / spread);
  });
  const parts = {
    norm1,
    norm2: (y) => norm1(y).map((row) => row.map((a) => 2 * a + 1)),
    attend: (y) => {
      const F = y[0].length, e = times(y, weight(F, 1, 2)).map(([s]) => Math.exp(s)), values = times(y, weight(F, F, 1));
      return y.map((_, k) => {
        const seen = e.slice(0, k + 1);
        return values[0].map((_, j) => sum(seen.map((p, i) => p * values[i][j])) / sum(seen));
      });
    },
    net: (y) => {
      const F = y[0].length, hidden = times(y, weight(F, 2 * F, 3));
      return times(hidden.map((row) => row.map((a) => Math.max(a, 0))), weight(2 * F, F, 4));
    },
  };
  return {
    "line 1 is right, line 2 is missing": made((x, p) => p.y),
    "line 2 is right, line 1 is missing": made((x, p) => add(x, p.net(p.norm2(x)))),
    "the norms stand after the sums, not before the parts": made((x, p) => p.norm2(plus(p.norm1(plus(x, p.attend)), p.net))),
    "the norms stand after the parts, not before them": made((x, p) => plus(plus(x, (x) => p.norm1(p.attend(x))), (y) => p.norm2(p.net(y)))),
    "both lines have the same norm": made((x, p) => add(p.y, p.net(p.norm1(p.y)))),
    "the two norms are exchanged": made((x, p) => plus(add(x, p.attend(p.norm2(x))), (y) => p.net(p.norm1(y)))),
    "the norms are missing": made((x, p) => plus(plus(x, p.attend), p.net)),
    "the first norm is missing": made((x, p) => plus(plus(x, p.attend), (y) => p.net(p.norm2(y)))),
    "the second norm is missing": made((x, p) => plus(p.y, p.net)),
    "the normalised x is added to, not x": made((x, p) => plus(p.norm2(plus(p.norm1(x), p.attend)), p.net)),
    "the first line adds to the normalised x, not to x": made((x, p) => plus(plus(p.norm1(x), p.attend), (y) => p.net(p.norm2(y)))),
    "the second line adds to the normalised x', not to x'": made((x, p) => plus(p.norm2(p.y), p.net)),
    "the first residual is forgotten": made((x, p) => plus(p.attend(p.norm1(x)), (y) => p.net(p.norm2(y)))),
    "the second residual is forgotten": made((x, p) => p.net(p.norm2(p.y))),
    "both residuals are forgotten": made((x, p) => p.net(p.norm2(p.attend(p.norm1(x))))),
    "the second line adds to x, not to x'": made((x, p) => add(x, p.net(p.norm2(p.y)))),
    "the second line reads x, not x'": made((x, p) => add(p.y, p.net(p.norm2(x)))),
    "x is added once more: it is in x' already": made((x, p) => add(x, plus(p.y, (y) => p.net(p.norm2(y))))),
    "the lines are exchanged: net comes before attend": made((x, p) => plus(add(x, p.net(p.norm2(x))), (y) => p.attend(p.norm1(y)))),
    "the parts are exchanged: net stands in line 1, attend in line 2": made((x, p) => plus(add(x, p.net(p.norm1(x))), (y) => p.attend(p.norm2(y)))),
    // an input: a part of the block, a function of all tokens
    part: (name) => {
      const part = parts[name], told = (y) => {
        if (!y?.[0]?.map) throw new TypeError(`${name} takes T arrays of numbers; got ${y?.map ? "an array of other things" : typeof y}. Arrays are added by add(a, b), not by +`);
        return part(y);
      };
      return Object.defineProperty(told, "name", { value: name });
    },
  };
};
