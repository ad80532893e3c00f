/**
 * Softmax attention over every prefix of a sequence, and streams of trained models, for node and browsers.
 *
 * A state {m, u, w} is what attention with one query remembers: the largest score m, the denominator u and the
 * numerator w, both in units of e^m. Its output is w / u. The same mathematics as `aaren.prefix_attention`.
 * Shapes: T tokens, F features, H heads, D the size of a value; outside a stream there is one head.
 */

const ROUND = { float64: (x) => x, float32: Math.fround };
/** The state that has seen nothing: the identity of `merge`. */
export const emptyState = (dim) => ({ m: -Infinity, u: 0, w: new Array(dim).fill(0) });

/** The operator ⊕: the state of two stretches of tokens, `left` before `right`. logDecay <= 0 is the logarithm of
 *  what the right stretch keeps of the left one; -Infinity is a reset. */
export function merge(left, right, logDecay = 0, precision = "float64") {
  return arithmetic(right.w.length, { precision }).merge(left, right, logDecay);
}

/** What a state gives: w / u, and zeros where nothing was seen. (After underflow from another start: 0 / 0, NaN.) */
export function output({ m, u, w }, round = ROUND.float64) {
  return w.map((sum) => (u === 0 && m === -Infinity ? 0 : round(sum / u)));
}

/**
 * Every prefix's attention output, for T scores and T values (arrays of D numbers). Options:
 *   logDecay   one number, or T: the logarithm of what is kept of the past when token k arrives (<= 0)
 *   reset      T booleans: token k begins anew
 *   window     only the last `window` tokens count
 *   start      the first maximum; 0 is the well-known mistake: scores far below it underflow, and 0 / 0 is NaN
 *   stable     false: the maximum stays where it starts (at 0), and bare exponentials overflow and underflow
 *   precision  "float64", or "float32": every operation is rounded by Math.fround
 * Returns {outputs: T arrays of D, states: T states, merges: how many times ⊕ was computed}. A token whose score is
 * NaN or +Infinity, or whose values are not finite, makes all NaN until a reset clears it or it leaves the window.
 */
export function prefixAttention(scores, values, options = {}) {
  const { logDecay = 0, reset = [], window = null } = options;
  const [length, given] = [scores.length, values.length];
  if (length !== given) throw new RangeError(`values must have ${length} entries, one a score; got ${given}.`);
  const math = arithmetic(length ? values[0].length : 0, options);
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

/** Tokens, ⊕ and the first state, in a precision. */
function arithmetic(dim, { precision = "float64", stable = true, start = stable ? -Infinity : 0 } = {}) {
  const round = ROUND[precision];
  if (!round) throw new RangeError(`precision must be "float64" or "float32"; got ${precision}.`);
  const exp = (x) => round(Math.exp(x));
  const first = { ...emptyState(dim), m: round(start) };
  const math = { round, first, merges: 0 };
  math.token = (score, value) => { // as a state: (s, 1, v)
    const [m, w] = [round(score), Array.from(value, round)];
    if (!(m < Infinity) || !w.every(Number.isFinite)) return { m: NaN, u: NaN, w: w.fill(NaN) };
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
function remember(math, window = null) {
  if (window === null) {
    let state = math.first;
    const set = (given = math.first) => (state = given);
    return { push: (token, decay) => (state = math.merge(state, token, decay)), get: () => state, set };
  }
  if (!(window > 0) || window % 1) throw new RangeError(`window must be an integer of at least 1; got ${window}.`);
  // ⊕ has no inverse: the oldest token cannot be taken away again. So two stacks. `front` holds, for each of the
  // older tokens, the state from it to the last of them, the oldest on top: dropping a token pops one. `back` is the
  // state of the newer tokens. The window is one merge of the two; when `front` is empty all tokens move there.
  let [tokens, front, back, faded] = [[], [], math.first, 0];
  const total = (g, h) => (g === -Infinity || h === -Infinity ? -Infinity : math.round(g + h));
  const push = (token, decay) => {
    if (tokens.length === window) {
      if (front.length === 0) {
        let sum = 0;
        for (const [state, g] of [...tokens].reverse()) {
          front.push(front.length ? math.merge(state, front.at(-1), sum) : state);
          sum = total(g, sum);
        }
        [back, faded] = [math.first, 0];
      }
      front.pop();
      tokens.shift();
    }
    tokens.push([token, decay]);
    back = math.merge(back, token, decay);
    faded = total(faded, decay);
    return front.length ? math.merge(front.at(-1), back, faded) : back;
  };
  const get = () => ({ s: tokens.map(([x]) => x.m), v: tokens.map(([x]) => x.w), g: tokens.map(([, g]) => g) });
  const set = ({ s, v, g } = { s: [] }) => {
    [tokens, front, back, faded] = [[], [], math.first, 0];
    s.forEach((score, i) => push(math.token(score, v[i]), g[i]));
  };
  return { push, get, set };
}

/**
 * The stream that a file of `aaren.stream.save` holds, as `stream.schema.json` describes it. `random` is a function
 * like Math.random, such as seeded(1): with it, layers with dropout drop, by masks that are drawn once a sequence,
 * at the start and by reset() (Monte-Carlo dropout).
 *
 * Returns {step(x): the answer to the tokens so far; reset(); state: what each layer with a memory remembers, in
 * order, may be set; layers}. A layer of kind "aaren" has `state`, {m: H, u: H, w: H × D} or with a window of n tokens
 * {s: H × n, v: H × n × D, g: H × n}, and `last`, what the last token brought, {s: H, v: H × D, g: H}.
 */
export function loadStream(document, { random = null } = {}) {
  if (document?.format !== "aaren.stream") throw new TypeError("document must be a file of aaren.stream.save.");
  if (document.version !== 1) throw new TypeError(`document.version must be 1; got ${document.version}.`);
  const [features, layers] = [document.features, document.layers.map((doc) => makeLayer(doc, random))];
  const flat = (layer) => (layer.layers ? layer.layers.flatMap(flat) : layer);
  const memories = layers.flatMap(flat).filter((layer) => layer.reset);
  const stream = {
    features, layers,
    step(x) {
      const token = typeof x === "number" ? [x] : Array.from(x);
      if (token.length !== features) throw new RangeError(`x must have ${features} features; got ${token.length}.`);
      return layers.reduce((y, layer) => layer.step(y), token);
    },
    reset: () => memories.forEach((layer) => layer.reset()),
    get state() { return structuredClone(memories.map((layer) => layer.state)); },
    set state(given) {
      const expected = `state must have ${memories.length} entries, one for each layer with a memory`;
      if (given.length !== memories.length) throw new RangeError(`${expected}; got ${given.length}.`);
      structuredClone(given).forEach((state, i) => (memories[i].state = state));
    },
  };
  stream.reset();
  if (document.state) stream.state = document.state.map((parts) => mapParts(parts, (part) => nest(unpack(part))));
  return stream;
}

/** Random numbers in [0, 1), the same for the same seed (mulberry32). */
export const seeded = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
  return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
};

// Layers: step(x) takes a token; those that remember something have reset() and `state`.
function makeLayer(doc, random) {
  if (!KINDS[doc.kind]) throw new TypeError(`layer ${doc.name}: this engine knows no kind ${doc.kind}.`);
  const arrays = mapParts(doc, (part) => (part?.data === undefined ? part : unpack(part)));
  return Object.assign(KINDS[doc.kind](arrays, random), { kind: doc.kind, name: doc.name });
}

/** H heads: read(x) is what a token brings to all of them; the memory of each takes it and gives an output. */
function attention(doc, random, [features, heads, dim], read, makeMemory) {
  const memories = Array.from({ length: heads }, makeMemory);
  const kept = (rate) => (!random || !rate ? 1 : random() < rate ? 0 : 1 / (1 - rate));
  const mask = (length, rate) => Array.from({ length }, () => kept(rate)); // one a sequence
  return {
    heads, dim,
    reset() {
      [this.inputMask, this.readMask] = [mask(features, doc.dropout), mask(heads * dim, doc.recurrent_dropout)];
      memories.forEach((memory) => memory.set());
    },
    step(x) {
      this.last = read(x.map((a, i) => a * this.inputMask[i]));
      const o = memories.flatMap((memory, h) => memory.take(this.last, h)).map((a, i) => a * this.readMask[i]);
      const average = (_, d) => mean(memories.map((__, h) => o[h * dim + d]));
      return ACTIVATIONS[doc.activation](doc.concat_heads ? o : Array.from({ length: dim }, average));
    },
    get state() { return mapParts(memories[0].get(), (_, name) => memories.map((memory) => memory.get()[name])); },
    set state(state) { memories.forEach((memory, h) => memory.set(mapParts(state, (part) => part[h]))); },
  };
}

const KINDS = {
  aaren(doc, random) {
    const [, heads, dim] = doc.values.shape;
    const { kernel, bias } = mapParts(doc.forget ?? {}, unpack);
    const rates = kernel ? product(kernel, bias) : () => Array.from(bias?.data ?? new Array(heads).fill(Infinity));
    const [scores, values, math] = [product(doc.scores), product(doc.values, doc.bias), arithmetic(dim)];
    const read = (x) => ({ s: scores(x), v: rows(values(x), dim), g: rates(x).map((z) => -softplus(-z)) });
    return attention(doc, random, doc.values.shape, read, () => {
      const { push, ...memory } = remember(math, doc.window);
      return { ...memory, take: ({ s, v, g }, h) => output(push(math.token(s[h], v[h]), g[h])) };
    });
  },
  linear_attention(doc, random) {
    const [q, k, v, dim] = [product(doc.query), product(doc.key), product(doc.value, doc.bias), doc.value.shape[2]];
    const phi = (a) => (a > 0 ? a + 1 : Math.exp(a));
    const read = (x) => ({ q: rows(q(x).map(phi), dim), k: rows(k(x).map(phi), dim), v: rows(v(x), dim) });
    const nothing = () => ({ S: rows(new Array(dim * dim).fill(0), dim), z: new Array(dim).fill(0) });
    return attention(doc, random, doc.value.shape, read, () => {
      let { S, z } = nothing();
      const take = ({ q, k, v }, h) => {
        S = S.map((row, i) => row.map((sum, j) => sum + k[h][i] * v[h][j]));
        z = z.map((sum, i) => sum + k[h][i]);
        const sum = (pick) => q[h].reduce((total, a, i) => total + a * pick(i), 0);
        return z.map((_, j) => sum((i) => S[i][j]) / (sum((i) => z[i]) || 1));
      };
      return { take, get: () => ({ S, z }), set: (state = nothing()) => ({ S, z } = state) };
    });
  },
  delay: ({ taps, dilation, features }) => ({
    reset() { this.state = { inputs: rows(new Array((taps - 1) * dilation * features).fill(0), features) }; },
    step(x) {
      const inputs = [...this.state.inputs, x];
      this.state = { inputs: inputs.slice(1) };
      return Array.from({ length: taps }, (_, j) => inputs[j * dilation]).flat();
    },
  }),
  dense: ({ kernel, bias, activation }) => ({ step: product(kernel, bias, ACTIVATIONS[activation]) }),
  layer_normalization: ({ epsilon, scale, offset }) => ({
    step(x) {
      const centre = mean(x);
      const spread = Math.sqrt(mean(x.map((a) => (a - centre) ** 2)) + epsilon);
      return x.map((a, i) => ((a - centre) / spread) * (scale?.data[i] ?? 1) + (offset?.data[i] ?? 0));
    },
  }),
  affine: ({ scale, offset }) => ({ step: (x) => x.map((a, i) => a * scale.data[i] + offset.data[i]) }),
  activation: ({ activation }) => ({ step: ACTIVATIONS[activation] }),
  residual({ layers }, random) {
    const inner = layers.map((doc) => makeLayer(doc, random));
    return { layers: inner, step: (x) => inner.reduce((y, layer) => layer.step(y), x).map((y, i) => x[i] + y) };
  },
};

// Activations, as Keras computes them.
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigmoid = (x) => 0.5 + 0.5 * Math.tanh(0.5 * x);

/** 2/√π e^(-x²) Σ 2^n x^(2n+1) / (1·3·5 … (2n+1)): all terms have the sign of x. */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let sum = x;
  for (let n = 1, term = x; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= (2 * x * x) / (2 * n + 1);
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const EACH = {
  linear: (x) => x, relu: (x) => Math.max(x, 0), leaky_relu: (x) => (x > 0 ? x : 0.2 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)), silu: (x) => x * sigmoid(x), sigmoid, softplus, tanh: Math.tanh,
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};
const ACTIVATIONS = mapParts(EACH, (each) => (x) => x.map((a) => each(a)));
ACTIVATIONS.softmax = (x) => prefixWeights(x, x.length - 1);

function mapParts(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, part]) => [name, change(part, name)]));
}

/** An array of the file as its shape and its numbers, row by row. */
function unpack({ shape, dtype, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const numbers = new (dtype === "float64" ? Float64Array : Float32Array)(bytes.buffer);
  if (numbers.length !== shape.reduce((a, b) => a * b, 1)) throw new TypeError("an array of the file is damaged.");
  return { shape, data: Float64Array.from(numbers) };
}

/** Its numbers as arrays in arrays. */
function nest({ shape: [length, ...shape], data }, size = data.length / length) {
  if (length === undefined) return data[0];
  return Array.from({ length }, (_, i) => nest({ shape, data: data.subarray(i * size, (i + 1) * size) }));
}

const mean = (x) => x.reduce((sum, a) => sum + a, 0) / x.length;
const rows = (flat, size) => Array.from({ length: flat.length / size }, (_, i) => flat.slice(i * size, (i + 1) * size));

/** x ↦ then(x·kernel + bias), for a kernel whose first axis is that of x. */
function product({ shape: [length, ...shape], data }, bias, then = (y) => y) {
  const size = shape.reduce((a, b) => a * b, 1);
  const start = Float64Array.from(bias?.data ?? new Array(size).fill(0));
  return (x) => {
    const y = start.slice();
    for (let i = 0, at = 0; i < length; i++) for (let c = 0, a = x[i]; c < size; c++) y[c] += a * data[at++];
    return then(Array.from(y));
  };
}
