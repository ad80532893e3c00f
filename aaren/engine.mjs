/**
 * Softmax attention over every prefix of a sequence, for node and browsers, without dependencies.
 *
 * A state {m, u, w} is what attention with one query remembers: the largest score m, the denominator u and the
 * numerator w, both in units of e^m. Its output is w / u. The same mathematics as `aaren.prefix_attention`.
 *
 * Shapes: T tokens, D the size of a value; one head.
 */

const ROUND = { float64: (x) => x, float32: Math.fround };

/** The state that has seen nothing: the identity of `merge`. */
export function emptyState(dim) {
  return { m: -Infinity, u: 0, w: new Array(dim).fill(0) };
}

/**
 * The operator ⊕: the state of two stretches of tokens, from the state of each; `left` is the earlier one.
 * logDecay <= 0 is the logarithm of what the right stretch keeps of the left one; -Infinity is a reset.
 */
export function merge(left, right, logDecay = 0, precision = "float64") {
  return arithmetic(right.w.length, { precision }).merge(left, right, logDecay);
}

/** What a state gives: w / u, and zeros where nothing was seen. A state that began at another maximum than
 *  -Infinity and lost everything to underflow gives 0 / 0, NaN. */
export function output({ m, u, w }, round = ROUND.float64) {
  return w.map((sum) => (u === 0 && m === -Infinity ? 0 : round(sum / u)));
}

/**
 * Every prefix's attention output, one token after the other.
 *
 * @param scores   T numbers
 * @param values   T arrays of D numbers
 * @param options
 *   logDecay   one number, or T: the logarithm of what is kept of the past when token k arrives (<= 0)
 *   reset      T booleans: token k begins anew
 *   window     only the last `window` tokens count
 *   start      the first maximum; 0 is the well-known mistake: scores far below it underflow, and 0 / 0 is NaN
 *   stable     false: the maximum stays where it starts (at 0), and bare exponentials overflow and underflow
 *   precision  "float64", or "float32": every operation is rounded by Math.fround
 * @returns {outputs: T arrays of D, states: T states, merges: how many times ⊕ was computed}
 *
 * A token whose score is NaN or +Infinity, or whose values are not all finite, makes everything NaN from there on,
 * until a reset clears it or it leaves the window.
 */
export function prefixAttention(scores, values, options = {}) {
  const { logDecay = 0, reset = [], window = null } = options;
  if (values.length !== scores.length) {
    throw new RangeError(`values must have one entry a score, ${scores.length}; got ${values.length}.`);
  }
  const math = arithmetic(scores.length ? values[0].length : 0, options);
  const memory = remember(math, window);
  const states = Array.from(scores, (score, k) => {
    const decay = typeof logDecay === "number" ? logDecay : logDecay[k];
    return memory.push(math.token(score, values[k]), reset[k] ? -Infinity : math.round(decay));
  });
  return { outputs: states.map((state) => output(state, math.round)), states, merges: math.merges };
}

/** The softmax weights of tokens 0 … k in prefix k: scores s_i + G_k - G_i, with G the sum of the log decays. */
export function prefixWeights(scores, k, { logDecay = 0, reset = [], window = null } = {}) {
  const s = [];
  for (let i = k, faded = 0; i >= 0; i--) {
    s[i] = window !== null && i <= k - window ? -Infinity : scores[i] + faded;
    faded = reset[i] ? -Infinity : faded + (typeof logDecay === "number" ? logDecay : logDecay[i]);
  }
  const { m, u } = s.reduce((state, x) => merge(state, { m: x, u: 1, w: [] }), emptyState(0));
  return s.map((x) => (u === 0 ? 0 : Math.exp(x - m) / u));
}

// -- arithmetic in a precision ----------------------------------------------------------------------------

function arithmetic(dim, { precision = "float64", stable = true, start = stable ? -Infinity : 0 } = {}) {
  const round = ROUND[precision];
  if (!round) throw new RangeError(`precision must be "float64" or "float32"; got ${precision}.`);
  const exp = (x) => round(Math.exp(x));
  const first = { ...emptyState(dim), m: round(start) };
  const math = { round, first, merges: 0 };

  /** One token as a state: (s, 1, v); NaN throughout where it is not a number that can be weighed. */
  math.token = (score, value) => {
    const [m, w] = [round(score), Array.from(value, round)];
    if (Number.isNaN(m) || m === Infinity || !w.every(Number.isFinite)) return { m: NaN, u: NaN, w: w.fill(NaN) };
    if (stable) return { m, u: 1, w };
    const u = exp(round(m - first.m));
    return { m: first.m, u, w: w.map((x) => round(u * x)) };
  };

  math.merge = (left, right, logDecay = 0) => {
    math.merges += 1;
    if (logDecay === -Infinity) left = first; // a reset clears NaN too
    const before = round(left.m + logDecay);
    const m = stable ? Math.max(before, right.m) : left.m;
    const unit = m === -Infinity ? 0 : m; // -Infinity - -Infinity would be NaN
    const keep = exp(round((stable ? before : round(m + logDecay)) - unit));
    const add = exp(round(right.m - unit));
    const sum = (a, b) => round(round(a * keep) + round(b * add));
    return { m, u: sum(left.u, right.u), w: left.w.map((x, i) => sum(x, right.w[i])) };
  };
  return math;
}

/** What a head keeps between tokens; push(token, logDecay) gives the state that counts from now on. */
function remember(math, window) {
  if (window === null) {
    let state = math.first;
    return { push: (token, decay) => (state = math.merge(state, token, decay)) };
  }
  if (!Number.isInteger(window) || window < 1) {
    throw new RangeError(`window must be an integer of at least 1; got ${window}.`);
  }
  // ⊕ has no inverse: the oldest token cannot be taken away again. So two stacks. `front` holds, for each of the
  // older tokens, the state from it to the last of them, the oldest on top: dropping a token pops one. `back` is the
  // state of the newer tokens. The window is one merge of the two; when `front` is empty the newer tokens fill it.
  let [front, newer, back, faded] = [[], [], math.first, 0];
  const total = (g, h) => (g === -Infinity || h === -Infinity ? -Infinity : g + h);
  return {
    push(token, decay) {
      if (front.length + newer.length === window) {
        if (front.length === 0) {
          let sum = 0;
          for (const [state, g] of newer.reverse()) {
            const rest = front.at(-1);
            front.push(rest ? math.merge(state, rest, sum) : state);
            sum = math.round(total(g, sum));
          }
          [newer, back, faded] = [[], math.first, 0];
        }
        front.pop();
      }
      newer.push([token, decay]);
      back = math.merge(back, token, decay);
      faded = math.round(total(faded, decay));
      return front.length ? math.merge(front.at(-1), back, faded) : back;
    },
  };
}
