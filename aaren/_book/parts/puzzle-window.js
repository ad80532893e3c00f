// The puzzle `window`, in JavaScript.
// -- stub
function window(x, op, identity, W) {
  // x: an array of items; op(left, right) merges two
  // return an array: for each item the merge of the last W up to it
}
// -- answer
function window(x, op, identity, W) {
  let ends = []; // of the block before, from each of its items to its end
  let now = identity; // of this block, up to here
  return x.map((item, k) => {
    const at = k % W;
    if (at === 0) {
      ends = x.slice(Math.max(k - W, 0), k);
      for (let j = ends.length - 2; j >= 0; j--) ends[j] = op(ends[j], ends[j + 1]);
      now = item;
    } else {
      now = op(now, item);
    }
    return at + 1 < ends.length ? op(ends[at + 1], now) : now;
  });
}
// -- mistakes
const mistakes = (window) => {
  const slices = (first, last = (k) => k + 1) => (x, op, identity, W) => x.map((_, k) =>
    x.slice(Math.max(first(k, W), 0), last(k, W)).reduce((total, item) => op(total, item), identity));
  return {
    "each window is merged from scratch": slices((k, W) => k + 1 - W),
    "the window is one item too long": slices((k, W) => k - W),
    "the window is one item too short": slices((k, W) => k + 2 - W),
    "nothing leaves the window: it is the prefix": slices(() => 0),
    "the window begins anew at each block": slices((k, W) => k - k % W),
    "the window looks ahead": slices((k) => k, (k, W) => k + W),
    "left and right are exchanged": (x, op, identity, W) => window(x, (left, right) => op(right, left), identity, W),
    "the item itself is missing from its window": slices((k, W) => k - W, (k) => k),
    drawing,
  };
};
