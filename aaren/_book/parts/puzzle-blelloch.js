// The puzzle `blelloch`, in JavaScript.
// -- stub
function blelloch(x, op, identity) {
  // first the up-sweep: return the sums of the blocks
  // then down again: return all prefixes of x
}
// -- answer
function blelloch(x, op, identity) {
  let size = 1;
  while (size < x.length) size *= 2;
  const y = Array.from({ length: size }, (_, k) => (k < x.length ? x[k] : identity));
  for (let d = 1; d < size; d *= 2) { // the up-sweep
    for (let k = 2 * d - 1; k < size; k += 2 * d) y[k] = op(y[k - d], y[k]);
  }
  const total = y[size - 1];
  y[size - 1] = identity;
  for (let d = size / 2; d >= 1; d /= 2) { // the down-sweep
    for (let k = 2 * d - 1; k < size; k += 2 * d) {
      [y[k - d], y[k]] = [y[k], op(y[k], y[k - d])];
    }
  }
  return [...y.slice(1), total].slice(0, x.length);
}
// -- mistakes
const mistakes = () => {
  const filled = (x, identity) => {
    let size = 1;
    while (size < x.length) size *= 2;
    return [...x, ...Array(size - x.length).fill(identity)];
  };
  const up = (x, op) => {
    for (let d = 1; d < x.length; d *= 2) for (let k = 2 * d - 1; k < x.length; k += 2 * d) x[k] = op(x[k - d], x[k]);
    return x;
  };
  const down = (x, op, pair) => {
    for (let d = Math.floor(x.length / 2); d >= 1; d = Math.floor(d / 2)) {
      for (let k = 2 * d - 1; k < x.length; k += 2 * d) [x[k - d], x[k]] = pair(x[k - d], x[k], op);
    }
    return x;
  };
  const told = (left, message, op) => [message, op(message, left)];
  const ended = (before, total) => [...before.slice(1), total];
  const made = ({ pair = told, fill = true, clear = true, end = ended }) => (x, op, identity) => {
    const y = up(fill ? filled(x, identity) : [...x], op), total = y[y.length - 1];
    if (clear) y[y.length - 1] = identity;
    return end(down(y, op, pair), total).slice(0, x.length);
  };
  return {
    "the message is merged on the wrong side: it came first": made({ pair: (left, message, op) => [message, op(left, message)] }),
    "the left child is not told the message": made({ pair: (left, message, op) => [left, op(message, left)] }),
    "the right child is told the message of its parent": made({ pair: (left, message) => [message, message] }),
    "the root is not cleared to the identity": made({ clear: false }),
    "lengths that are no power of two are not filled up": made({ fill: false }),
    "the prefixes are exclusive: each lacks its own item": made({ end: (before) => before }),
    "the total is not appended": made({ end: (before) => before.slice(1) }),
    "only the way up is taken": (x, op, identity) => up(filled(x, identity), op).slice(0, x.length),
    "it is the recurrence: each merge waits for the one before": (x, op) => x.reduce((y, item) => [...y, y.length ? op(y[y.length - 1], item) : item], []),
    "it is Hillis and Steele's scan, with a merge at almost every position of every round": (x, op) => {
      for (let d = 1; d < x.length; d *= 2) x = x.map((item, k) => k < d ? item : op(x[k - d], item));
      return x;
    },
    drawing,
    // which sweep fails first, by the pairs that were merged of these letters
    sweeps: (letters, pairs) => {
      const made = pairs.filter(([left, right]) => left && right), op = (pair) => `op('${pair[0]}', '${pair[1]}')`;
      for (let d = 1; d < letters.length; d *= 2) {
        for (let k = d; k < letters.length; k += 2 * d) {
          const pair = [letters.slice(k - d, k), letters.slice(k, k + d)];
          const at = made.findIndex((one) => String(one) === String(pair));
          if (at < 0) return made.length ? { "up-sweep": `not right; ${op(pair)} is missing` } : {};
          made.splice(at, 1);
        }
      }
      const stray = made.find((pair) => !letters.startsWith(pair.join("")));
      const reason = stray ? `${op(stray)} makes no prefix` : made.length ? "its merges are, what it returns is not" : "it makes no merge";
      return { "up-sweep": "right", "down-sweep": `not right; ${reason}` };
    },
  };
};
