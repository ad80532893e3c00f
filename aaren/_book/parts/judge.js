// The verdict on a puzzle's answer, as `aaren.puzzles.check` gives it. Neither function may need anything from outside,
// but `sum`, `dot` and `add`: their text runs in a worker, below the reader's own code.

// `reader` is the reader's function, `answer` the right one, `mistakes` makes those that are known, by name. With them may
// stand `after`, what the reader's function leads to, or `drawing`, what it merges of 8 tokens: either is drawn below the
// verdict, which it does not change.
const judge = (options, code, reader, answer, mistakes, post) => {
  const { more, sweeps, drawing, kept, part, after, ...mutants } = mistakes(answer), known = Object.entries(mutants);
  const { name, cases, form, returns, counted, limit, least = {}, again, size, parts, steps, drawn } = options;

  // -- inputs: as live.py writes them, and made anew for each call
  class Piece { // a stretch of the sequence, by its letters; `chain` counts merges in a row
    constructor(text, chain = 0, left, right) { Object.assign(this, { text, chain, left, right }); Object.freeze(this); }
    toString() { return this.text; }
  }
  class Triple extends Array { // [m, u, w], whose parts have names too
    static get [Symbol.species]() { return Array; }
  }
  ["m", "u", "w"].forEach((part, i) => Object.defineProperty(Triple.prototype, part, { get() { return this[i]; }, set(x) { this[i] = x; } }));
  const join = () => {
    const op = (left, right) => {
      for (const item of [left, right]) if (!(item instanceof Piece)) throw new TypeError(`op merges two items; got ${show(item)}`);
      const joined = new Piece(left.text + right.text, 1 + Math.max(left.chain, right.chain), left, right);
      op.made.push(joined);
      return joined;
    };
    return Object.assign(op, { made: [], empty: new Piece("") });
  };
  const signs = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-";
  const read = (x) => {
    if (Array.isArray(x)) return x.map(read);
    if (typeof x !== "object") return Number(x); // "-Infinity" too
    if (x.triple) return Triple.from(x.triple.map(read));
    if (x.kept) return kept(...x.kept);
    if (x.part) return part(x.part);
    if (x.letters) return [...signs.slice(0, x.letters)].map((sign) => new Piece(sign));
    return x.op ? join() : new Piece("");
  };

  // -- values: how they look, and when they are the same
  const listed = (x) => Array.isArray(x) || ArrayBuffer.isView(x);
  const shape = (x) => { // undefined where rows differ in length
    if (!listed(x)) return [];
    const inner = Array.from(x, shape), first = inner.length ? inner[0] : [];
    return inner.every((one) => one && first && String(one) === String(first)) ? [inner.length, ...first] : undefined;
  };
  const flat = (x) => listed(x) ? Array.from(x).flatMap(flat) : [x];
  const sized = (x) => `(${x.join(", ")}${x.length === 1 ? "," : ""})`;
  const digits = (x) => { // four, as Python's format has them
    if (!Number.isFinite(x) || x === 0) return Object.is(x, -0) ? "-0" : String(x);
    const [mantissa, power] = x.toExponential(3).split("e");
    if (power >= -4 && power <= 3) return String(Number(x.toPrecision(4)));
    return `${Number(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
  };
  const show = (x, number = digits) => {
    if (typeof x === "number") return number(x);
    if (typeof x === "string" || x instanceof Piece) return `'${x}'`;
    if (typeof x === "function") return x.name; // op, or a part of a block
    if (!listed(x)) return x && typeof x === "object" ? kind(x) : String(x);
    const numbers = flat(x);
    if (numbers.length > 40 && shape(x) && typeof numbers[0] === "number") return `<array of shape ${sized(shape(x))}>`;
    return `[${Array.from(x, (one) => show(one, number)).join(", ")}]`;
  };
  const kind = (x) => x === null ? "null" : typeof x === "object" && x.constructor ? x.constructor.name : typeof x;
  const near = (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b)) || (Number.isFinite(b) && Math.abs(a - b) <= 1e-12 + 1e-9 * Math.abs(b));
  const same = (a, b) => {
    if (listed(b)) return listed(a) && a.length === b.length && b.every((one, i) => same(a[i], one));
    if (b instanceof Piece) return a instanceof Piece && a.text === b.text;
    return typeof a === typeof b && (typeof b === "function" || near(a, b));
  };
  const misfit = (value, expected, parts = form !== "array") => { // how the form of an answer differs from the right one's
    if (parts) {
      if (!listed(value)) return `yours is of type ${kind(value)}`;
      if (value.length !== expected.length) return `yours has ${value.length} instead of ${expected.length} parts`;
      for (let i = 0; i < value.length; i++) {
        const found = misfit(value[i], expected[i], false);
        if (found) return found;
      }
      return null;
    }
    if (expected instanceof Piece) return value instanceof Piece ? null : "its items must come from x, identity and op alone";
    const other = flat(value).find((x) => typeof x !== "number");
    if (other !== undefined || flat(value).includes(undefined)) return `yours holds ${kind(other)} where numbers belong`;
    if (!shape(value)) return "yours has rows of different lengths";
    if (String(shape(value)) !== String(shape(expected))) return `yours has the shape ${sized(shape(value))} instead of ${sized(shape(expected))}`;
    return null;
  };

  // -- calls
  const tidy = (x) => form === "triple" && x && !listed(x) && ["m", "u", "w"].every((part) => part in Object(x)) ? [x.m, x.u, x.w] : x;
  const call = (f, sent) => {
    const args = read(sent);
    try {
      return { args, value: tidy(f(...args)) };
    } catch (error) {
      return { args, error: error instanceof Error ? error : new Error(`${show(error)} was thrown`) };
    }
  };
  const right = cases.map(([, sent]) => call(answer, sent).value);
  const empty = (part) => part === null || part === undefined;
  const expected = (i, { value }) => { // the right answer, with the steps that may come after it, if they were found
    const long = more && listed(value) && value.length > right[i].length && value.length <= parts.length + steps.length;
    return long ? [...right[i], ...more(...read(cases[i][1]))].slice(0, value.length) : right[i];
  };
  const given = (value, wanted) => { // both without the parts that are missing
    if (!more || !listed(value) || value.length !== wanted.length) return [value, wanted];
    return [value, wanted].map((x) => x.filter((_, i) => !empty(value[i])));
  };
  const alike = (one, other) => { // does the reader's function do what a mistake does?
    if (one.error || other.error) return one.error?.name === other.error?.name;
    if (!more || !listed(one.value)) return same(one.value, other.value);
    const value = one.value.slice(0, other.value.length);
    return !value.every(empty) && same(...given(value, other.value));
  };
  const stages = (all, number) => { // what is right by itself, of an answer that is wrong or not complete
    if (sweeps) return sweeps(String(all[Math.max(number, 2)].args[0].join("")), all[Math.max(number, 2)].args[1].made.map(({ left, right }) => [left.text, right.text]));
    const found = {};
    for (let i = 0; more && i < all.length; i++) {
      const { value } = all[i], wanted = expected(i, all[i]);
      if (!listed(value) || value.length !== wanted.length) return {};
      [...parts, ...steps].slice(0, value.length).forEach((stage, j) => {
        if ((found[stage] || "right") === "right") found[stage] = empty(value[j]) ? "missing" : same(value[j], wanted[j]) ? "right" : "not right";
      });
    }
    return Object.fromEntries(Object.entries(found).reverse());
  };
  const cost = (f, ...last) => { // with another last argument, if one is given
    if (!counted) return {};
    Math.taken = 0; // it is what the program counts
    const { args, value, error } = call(f, [...counted.slice(0, counted.length - last.length), ...last]);
    const merges = args[1].made?.length;
    const all = error ? {} : { exponentials: Math.taken };
    if (merges !== undefined && value) Object.assign(all, { merges, "longest chain": Math.max(...value.map((piece) => piece.chain)) });
    return Object.fromEntries(Object.keys(limit).filter((what) => what in all).map((what) => [what, all[what]]));
  };
  const list = (cost) => Object.entries(cost).map(([what, count]) => `${what} ${String(count).replace(/\B(?=(\d{3})+$)/g, ",")}`).join(", ");
  const line = (error) => { // the reader's own, of those that the error names
    const lines = code.split("\n");
    for (const [, at] of String(error.stack).matchAll(/:(\d+):\d+/g)) if (at <= lines.length) return lines[at - 1].trim();
  };

  // -- the verdict
  const trouble = (sent, found, best, where) => {
    const { args, value, error } = found;
    if (!error && value == null) return ["not yet", `${name}: not yet.\n  Write it so that it returns ${returns}.\n  It returned nothing: is there a \`return\`?`];
    if (error) {
      const at = line(error);
      return ["raised", `${name}: it failed at ${where}\n  ${error.name}: ${error.message}${at ? `\n  in the line: ${at}` : ""}`];
    }
    const changed = read(sent).findIndex((then, i) => !same(args[i], then));
    if (changed >= 0) return ["changed", `${name}: it changed its argument \`${options.arguments[changed]}\`, which its caller still needs. Work on a copy. It happened at ${where}`];
    const pair = given(value, best), reason = misfit(...pair);
    if (!reason && same(...pair)) return null;
    let shown = [show(value), show(best)];
    if (shown[0] === shown[1]) shown = [show(value, String), show(best, String)];
    return ["wrong", `${name}: not right. The smallest input that fails ${where}\n  yours: ${shown[0]}\n  right: ${shown[1]}${reason ? `\n  It must return ${returns}; ${reason}.` : ""}`];
  };
  const tell = (kind, text, mistake = null, cost = {}, stages = {}) => {
    const lines = [text, ...Object.entries(stages).map((stage) => `  ${stage.join(": ")}`)];
    if (mistake) lines.push(`The mistake: ${mistake}.`);
    post({ verdict: { name, kind, text: lines.join("\n"), mistake, cost, stages } });
  };
  const run = () => {
    if (typeof reader !== "function") {
      return tell("raised", `${name}: there is no function of this name.\n  Write \`function ${name}(${options.arguments.join(", ")}) { … }\`.`);
    }
    const place = ([about, sent]) => {
      const where = `(${about}):\n  ${name}(${read(sent).map((x) => show(x)).join(", ")})`;
      post({ where });
      return where;
    };
    const every = () => cases.map((one) => { place(one); return call(reader, one[1]); });
    for (let i = 0; i < cases.length; i++) {
      const sent = cases[i][1], where = place(cases[i]), once = call(reader, sent);
      const found = trouble(sent, once, expected(i, once), where);
      if (!found) continue;
      tell(...found);
      if (!["wrong", "raised"].includes(found[0])) return;
      const all = every();
      const named = known.find(([, mutant]) => cases.every((one, j) => alike(all[j], call(mutant, one[1]))));
      return tell(...found, named?.[0], {}, stages(all, i));
    }
    const left = more ? stages(every(), 0) : {};
    if (parts?.some((part) => left[part] === "missing")) return tell("not yet", `${name}: not yet, for ${cases.length} inputs:`, null, {}, left);
    const text = `${name}: right, for ${cases.length} inputs.`;
    if (counted) post({ where: `(${size})` });
    const used = cost(reader), best = cost(answer), equal = (one) => list(one) === list(used);
    if (!Object.keys(used).length) return tell("right", text);
    const few = Object.entries(least).find(([what, most]) => used[what] < most), powers = /\*\*(?!=?\s*-?\d)/.test(code.replace(/\/\*[^]*?\*\/|\/\/.*/g, ""));
    if (few || least.exponentials && powers) {
      const why = powers ? "What ** takes cannot be counted." : `For ${size}: ${list(used)}; so many scores need ${few[1]} at least.`;
      return tell("uncounted", `${name}: every answer is right, but not all that it takes is seen. ${why} Take exponentials with Math.exp.`, null, used);
    }
    const idle = (f) => again && list(cost(f)) === list(cost(f, again[0])) && cost(f).exponentials <= again[2]; // the last makes no difference
    const wasteful = Object.entries(limit).some(([what, most]) => !(used[what] <= most)), unused = !wasteful && idle(reader);
    if (!wasteful && !unused) {
      return tell("right", `${text} For ${size}: ${list(used)} (${equal(best) ? "as the book's own does" : `the book's own: ${list(best)}`}).`, null, used);
    }
    const dear = known.find(([, mutant]) => cases.every((one, j) => same(call(mutant, one[1]).value, right[j])) && (unused ? idle(mutant) : equal(cost(mutant))));
    const but = unused ? `${options.arguments.at(-1)} makes no difference. For ${size}: ${list(used)}; ${again[1]} as many.` : `it takes too much. For ${size}: ${list(used)}; the book's own: ${list(best)}.`;
    tell("costly", `${name}: every answer is right, but ${but}`, dear?.[0], used);
  };
  run();
  let led = null;
  try {
    led = drawing ? drawing(...[reader, answer].map((f) => call(f, cases[drawn][1])), right[drawn]) : after(reader);
  } catch {
    // there is none, or this function gives it nothing to draw
  }
  post({ after: led, done: true });
};

// What the worker runs: the reader's code first, so that its lines keep their numbers. Phones like curled quotes and long dashes.
const program = ({ answer, mistakes, ...options }, code) => {
  const { name } = options;
  return [
    // counted from here on, under other names too
    `for(const f of["exp","expm1","pow"]){const g=Math[f];Math[f]=(...x)=>{Math.taken+=1;return g(...x)}}${typed(code)}`,
    // the reader may use these three, or have others of their names
    ";((sum = (list) => list.reduce((a, b) => a + b, 0), dot = (a, b) => sum(a.map((x, i) => x * b[i])), add = (a, b) => a.map ? a.map((x, i) => add(x, b[i])) : a + b) => {",
    `globalThis.sum ??= sum; globalThis.dot ??= dot; globalThis.add ??= add; (${judge})(${JSON.stringify(options)}, ${JSON.stringify(typed(code))}, typeof ${name} === "undefined" ? null : ${name},`,
    `(() => { ${answer}`,
    `return ${name}; })(), (() => { ${mistakes}`,
    "return mistakes; })(), (told) => postMessage(told)); })();",
  ].join("\n");
};
const typed = (code) => code.replace(/[“”]/g, '"').replace(/[‘’]/g, "'").replace(/—/g, "--").replace(/[−–]/g, "-");

// Verdicts that no worker can give: it did not end, or it never began.
const endless = (name, seconds, where) => ({
  name, kind: "endless", text: `${name}: no answer after ${seconds} seconds. Does its loop end? It was stopped ${where ? `at ${where}` : "before the first input."}`,
});
const broken = (name, message, number, code) => {
  const lines = code.split("\n"), at = number <= lines.length ? `in the line: ${lines[number - 1].trim()}` : "at its end: is a bracket or a quotation mark still open?";
  return { name, kind: "raised", text: `${name}: the code cannot be run.\n  ${message.replace(/^Uncaught /, "")}${number ? `\n  ${at}` : ""}` };
};
