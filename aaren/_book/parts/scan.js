// The scan: the same outputs by a chain, by rounds, by a tree, by blocks.
const near = (a, b) => a === b || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(a), Math.abs(b));
const plain = (text) => Number(text.trim().replace("−", "-").replace(/^(-?)(∞|inf)$/, "$1Infinity") || NaN);
const numeric = { read: ([text]) => plain(text), text: (x) => show(x, 3), full: (x) => show(x), exact: String, same: near };
const OPERATORS = {
  "+": { ...numeric, name: "sum", of: (a, b) => a + b },
  max: { ...numeric, name: "maximum", of: (a, b) => Math.max(a, b) },
  join: { name: "strings, joined", of: (a, b) => a + b, read: ([text]) => text, same: (a, b) => a === b,
    text: (x) => x.length > 4 ? `${x[0]}…${x.at(-1)}` : x, full: (x) => `“${x}”`, exact: String },
  merge: { name: "⊕ of score and value", of: (a, b) => merge(a, b), rows: ["score", "value"],
    read: ([s, v]) => merge(emptyState(1), { m: plain(s), u: 1, w: [plain(v)] }),
    exact: (x) => [x.m, x.u, x.w[0]].join(" "), same: (a, b) => near(a.m, b.m) && near(a.u, b.u) && near(a.w[0], b.w[0]),
    text: (x) => show(output(x)[0], 3), full: (x) => `${show(output(x)[0])}, from (m, u, w) = (${[x.m, x.u, x.w[0]].map((n) => show(n)).join(", ")})` },
  mean: { ...numeric, name: "mean of two (not associative)", of: (a, b) => (a + b) / 2,
    why: "The mean of two is not associative: in (x∘y)∘z the last item weighs half, in x∘(y∘z) the first. So regrouping changes the answer." },
};
// the same ⊕, for sums: what stands in the boxes is w, measured by e^m
OPERATORS.sums = { ...OPERATORS.merge, name: "⊕, its sum w", text: (x) => show(x.w[0], 3), full: (x) => `${show(x.w[0], 3)} in units of ${show(Math.exp(x.m), 3)}` };
const FORMS = { sequential: "sequential", hillis: "Hillis–Steele", blelloch: "Blelloch", blocks: "blocks", tree: "tree: total only" };

// Who merges what, when: nodes {col, row, from, lo, hi}; a node that merges nothing is an input, a copy or empty.
const plan = (form, n, C) => {
  const nodes = [], labels = ["start"], size = form === "blelloch" || form === "tree" ? 2 ** Math.ceil(Math.log2(n)) : n;
  const put = (col, from, lo, hi) => nodes.push({ col, row: labels.length - 1, from, lo, hi, merge: from.length > 1 }) - 1;
  let at = Array.from({ length: size }, (_, i) => put(i, [], i, i < n ? i : i - 1)), outs = null;
  // [earlier, later, where it is written]: all read what stood there before the round
  const round = (label, merges, moves = []) => {
    if (!merges.length) return;
    labels.push(label);
    const next = [...at];
    for (const [from, to] of moves) next[to] = put(to, [at[from]], nodes[at[from]].lo, nodes[at[from]].hi);
    for (const [i, j, to] of merges) {
      const a = nodes[at[i]], b = nodes[at[j]], empty = b.hi < b.lo;
      next[to] = put(to, [at[i], at[j]], a.hi < a.lo ? b.lo : a.lo, empty ? a.hi : b.hi);
    }
    at = next;
  };
  const each = (from, to, step, make) => { const list = []; for (let k = from; k < to; k += step) list.push(make(k)); return list; };
  if (form === "sequential") for (let k = 1; k < n; k++) round(`round ${k}`, [[k - 1, k, k]]);
  if (form === "hillis") for (let d = 1, r = 1; d < n; d *= 2, r++) round(`round ${r}`, each(d, n, 1, (k) => [k - d, k, k]));
  if (form === "tree" || form === "blelloch") {
    for (let d = 1, r = 1; d < size; d *= 2, r++) round(`up ${r}`, each(2 * d - 1, size, 2 * d, (k) => [k - d, k, k]));
    if (form === "tree") outs = [at[size - 1]];
    else {
      const total = at[size - 1];
      labels.push("clear");
      at[size - 1] = put(size - 1, [], 0, -1);
      for (let d = size / 2, r = 1; d >= 1; d /= 2, r++) round(`down ${r}`, each(2 * d - 1, size, 2 * d, (k) => [k, k - d, k]), each(2 * d - 1, size, 2 * d, (k) => [k, k - d]));
      outs = [...at.slice(1), total].slice(0, n);
    }
  }
  if (form === "blocks") {
    const inBlocks = (places, name, carry) => {
      const T = places.length, last = each(0, T, C, (k) => Math.min(T, k + C) - 1);
      const merges = (pairs) => pairs.map(([i, k]) => [places[i], places[k], places[k]]);
      for (let r = 1; r < C; r++) round(name(r), merges(each(r, T, C, (k) => [k - 1, k])));
      if (T <= C) return;
      inBlocks(last.map((k) => places[k]), between, between);
      round(carry(), merges(each(C, T, 1, (k) => [k - k % C - 1, k]).filter(([, k]) => !last.includes(k))));
    };
    // from end to end: the same of the ends, until one block is left
    const between = () => `ends ${labels.length - C + 1}`;
    inBlocks(each(0, n, 1, (k) => k), (r) => `inside ${r}`, () => "carry in");
  }
  return { nodes, labels, outs: outs || at, size, n };
};

// The same from right to left: suffixes instead of prefixes.
const mirror = ({ nodes, outs, size, n, ...rest }) => ({
  ...rest, size, n, flipped: true, outs: [...outs].reverse(),
  nodes: nodes.map((node) => ({ ...node, col: n - 1 - node.col, lo: n - 1 - node.hi, hi: n - 1 - node.lo, from: [...node.from].reverse() })),
});

const scanValues = ({ nodes }, op, items) => {
  const values = [];
  nodes.forEach(({ from, lo, hi }, i) => {
    const [a, b] = from.map((j) => values[j]);
    values[i] = from.length === 0 ? (lo > hi ? null : items[lo]) : b === undefined || b === null ? a : a === null ? b : op.of(a, b);
  });
  return values;
};

// All nodes behind one, and the longest chain of merges among them.
const behind = ({ nodes }, end) => {
  const found = new Set(), depth = (i) => {
    found.add(i);
    return Math.max(0, ...nodes[i].from.map(depth)) + (nodes[i].merge ? 1 : 0);
  };
  const chain = depth(end);
  return { found, chain };
};
const grouping = ({ nodes }, i, top = true) => {
  const { from, lo, hi } = nodes[i];
  if (lo > hi) return "";
  if (!from.length) return `${lo + 1}`;
  const parts = from.map((j) => grouping({ nodes }, j, from.length < 2 && top)).filter(Boolean);
  return parts.length < 2 ? parts[0] : top ? parts.join(" ∘ ") : `(${parts.join("∘")})`;
};

start("scan", (stage, options) => {
  let { op: opName, form, C, direction } = options, texts = options.items.map((item) => [].concat(item).map(String));
  let chosen = direction === "backward" ? 0 : texts.length - 1, upto = Infinity, width = 0, head = 0, col = 0, timer = 0, drawn = new Map(), frame = 0, shift = 0;
  let graph, values, wanted, high, deep;
  const { nodes: words, say } = voice();
  const svg = make("svg", { "aria-hidden": "true" });
  const top = make("div", {}), bottom = make("div", {}), counts = make("div", { class: "aaren-counts" });
  const scroll = make("div", { class: "aaren-scroll" }, top, svg, bottom);
  const op = () => OPERATORS[opName];
  const fresh = (k) => opName === "join" ? ["abcdefghijklmnop"[k]] : op().rows ? [String([0, 1, 2, 0.5][k % 4]), String([1, 2, 3, 4][k % 4])] : [String([3, 1, 4, 1, 5, 9, 2, 6][k % 8])];

  const compute = () => {
    graph = plan(form, texts.length, C);
    if (direction === "backward") graph = mirror(graph);
    const items = texts.map((item) => op().read(item));
    values = scanValues(graph, op(), items);
    const chain = plan("sequential", texts.length, C), straight = direction === "backward" ? mirror(chain) : chain;
    wanted = scanValues(straight, op(), items);
    wanted = straight.outs.map((i) => wanted[i]);
    if (form === "tree") wanted = [direction === "backward" ? wanted[0] : wanted.at(-1)];
    chosen = Math.min(chosen, graph.outs.length - 1);
    shift = direction === "backward" ? graph.size - texts.length : 0;
  };
  const wrong = (k) => !op().same(values[graph.outs[k]], wanted[k]);
  const outColumn = (k) => form !== "tree" ? k : direction === "backward" ? 0 : texts.length - 1;

  // -- inputs above, outputs below, each in its column
  const lay = () => {
    const row = (name, cells) => make("div", { class: "aaren-row" }, make("span", { class: "aaren-side", style: `width:${head + shift * col}px` }, name), ...cells);
    top.replaceChildren(...(op().rows || ["item"]).map((name, r) => row(name, texts.map((item, i) => {
        const input = make("input", { class: "aaren-item", style: `width:${col}px`, value: item[r], "aria-label": `${name} ${i + 1}`, maxlength: 6, autocomplete: "off", spellcheck: "false", inputmode: opName === "join" ? "text" : "decimal" });
        input.addEventListener("input", () => {
          texts[i][r] = input.value;
          set(input, "aria-invalid", opName !== "join" && Number.isNaN(plain(input.value)) ? "true" : null);
          compute();
          update();
        });
        input.addEventListener("focus", () => update(i));
        input.addEventListener("blur", () => update());
        return input;
      }))));
    bottom.replaceChildren(row("output", texts.map((_, i) => {
      const k = form !== "tree" ? i : i === outColumn(0) ? 0 : -1;
      if (k < 0) return make("span", { style: `width:${col}px` });
      const node = button("", () => { chosen = k; update(); }, { class: "aaren-out", style: `width:${col}px` });
      for (const type of ["focus", "pointerenter"]) node.addEventListener(type, () => { if (chosen !== k) { chosen = k; update(); } });
      return node;
    })));
  };

  // -- the picture: nodes have names, so that they can travel from one form to the next
  const middle = (column) => head + (column + shift + 0.5) * col;
  const place = (node) => ({ x: middle(node.col), y: node.row ? node.row * high - high / 2 + 4 : -11 }); // inputs stand above the picture
  const travel = (smooth) => {
    cancelAnimationFrame(frame);
    const seen = new Map(), next = new Map();
    graph.nodes.forEach((node, i) => {
      const stem = `${node.lo}-${node.hi}`, count = seen.get(stem) || 0;
      seen.set(stem, count + 1);
      const key = node.row ? `${stem}#${count}` : `start${node.col}`, old = drawn.get(key), to = place(node);
      const one = old || {
        box: make("g", {}, make("rect", { x: -col / 2 + 3, y: -11, width: col - 6, height: 22, rx: 5 }), make("text", { y: 5, "text-anchor": "middle" })), lines: [],
        x: middle(clamp(node.hi, 0, texts.length - 1)), y: -11, o: 0,
      };
      one.box.style.display = node.row ? "" : "none";
      set(one.box.firstChild, "width", col - 6);
      set(one.box.firstChild, "x", -col / 2 + 3);
      Object.assign(one, { from: { x: one.x, y: one.y, o: one.o }, to: { ...to, o: 1 }, node, i });
      next.set(key, one);
    });
    for (const [key, one] of drawn) if (!next.has(key)) { one.box.remove(); one.lines.forEach((line) => line.remove()); }
    drawn = next;
    const byIndex = new Map([...drawn.values()].map((one) => [one.i, one]));
    const lines = [], boxes = [];
    for (const one of byIndex.values()) {
      one.lines.forEach((line) => line.remove());
      one.sources = one.node.from.map((j) => byIndex.get(j));
      one.lines = one.sources.map(() => make("path", { fill: "none" }));
      lines.push(...one.lines);
      boxes.push(one.box);
    }
    tails = graph.outs.map((i, k) => { const line = make("path", { fill: "none" }); lines.push(line); return { line, one: byIndex.get(i), x: middle(outColumn(k)) }; });
    labelsShown = graph.labels.map((text, r) => make("text", { x: 0, y: r * high - high / 2 + 9, opacity: 0.8 }, r ? text : ""));
    svg.replaceChildren(...labelsShown, ...lines, ...boxes);
    const tall = (graph.labels.length - 1) * high + 12, wide = head + Math.max(graph.size, texts.length) * col;
    for (const [name, value] of Object.entries({ width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` })) set(svg, name, value);
    const begun = performance.now(), time = smooth && !still() ? 800 : 0;
    const step = (now) => {
      const part = time ? clamp((now - begun) / time, 0, 1) : 1, t = part * part * (3 - 2 * part);
      for (const one of byIndex.values()) {
        for (const name of ["x", "y", "o"]) one[name] = one.from[name] + (one.to[name] - one.from[name]) * t;
        set(one.box, "transform", `translate(${one.x} ${one.y})`);
        one.box.style.opacity = one.o;
      }
      for (const one of byIndex.values()) one.sources.forEach((source, s) => set(one.lines[s], "d", `M${source.x} ${source.y + 11}L${one.x} ${one.y - 11}`));
      for (const { line, one, x } of tails) set(line, "d", `M${one.x} ${one.y + 11}L${x} ${tall}`);
      if (part < 1) frame = requestAnimationFrame(step);
      set(svg, "data-moving", part < 1 ? "true" : null);
    };
    step(begun);
  };
  let tails = [], labelsShown = [];

  const rebuild = (smooth) => {
    compute();
    const n = texts.length;
    head = width < 500 ? 50 : 76;
    col = Math.max(36, Math.floor((width - head - 8) / Math.max(n, graph.size)));
    deep = graph.labels.length;
    high = clamp(Math.floor(440 / deep), 30, 50);
    upto = Infinity;
    lay();
    travel(smooth);
    for (const [name, node] of Object.entries(forms)) set(node, "aria-pressed", String(name === form));
    block.node.hidden = form !== "blocks";
    set(rounds.input, "max", deep - 1);
    rounds.input.value = deep - 1;
    update();
  };

  const update = (input = null) => {
    const n = texts.length, last = Math.min(upto, deep - 1), { found, chain } = behind(graph, graph.outs[chosen]);
    const reached = (i) => input === null ? found.has(i) : graph.nodes[i].lo <= input && input <= graph.nodes[i].hi;
    for (const { box, lines, sources, node, i } of drawn.values()) {
      const shown = node.row <= last, lit = reached(i) && shown;
      write(box.lastChild, !shown ? "" : values[i] === null ? "∅" : op().text(values[i]));
      set(box, "data-value", values[i] === null ? "" : op().exact(values[i]));
      set(box, "data-range", `${node.lo} ${node.hi}`);
      set(box.firstChild, "class", `aaren-node${node.merge ? " aaren-merge" : ""}${lit ? " aaren-way" : ""}${shown ? "" : " aaren-later"}`);
      lines.forEach((line, s) => set(line, "class", `aaren-edge${lit && reached(sources[s].i) ? " aaren-way" : ""}${shown ? "" : " aaren-later"}${node.merge ? "" : " aaren-move"}${sources[s].node.row || sources[s].node.hi >= sources[s].node.lo ? "" : " aaren-heard"}`));
    }
    tails.forEach(({ line, one }, k) => set(line, "class", `aaren-edge aaren-move${(input === null ? k === chosen : reached(one.i)) ? " aaren-way" : ""}${one.node.row <= last ? "" : " aaren-later"}`));
    const outs = [...bottom.querySelectorAll("button")];
    outs.forEach((node, k) => {
      const i = graph.outs[k], done = graph.nodes[i].row <= last;
      const text = done ? op().text(values[i]) + (wrong(k) ? " ≠" : "") : "";
      write(node, text);
      set(node, "aria-label", `output ${outColumn(k) + 1}: ${text || "not yet"}`);
      set(node, "data-value", op().exact(values[i]));
      set(node, "aria-pressed", String(k === chosen));
      node.classList.toggle("aaren-bad", wrong(k));
    });
    [...top.querySelectorAll("input")].forEach((node, i) => node.classList.toggle("aaren-reached", input === null ? found.has(i % n) || (graph.nodes[graph.outs[chosen]].lo <= i % n && i % n <= graph.nodes[graph.outs[chosen]].hi) : i % n === input));
    const merges = graph.nodes.filter((node) => node.merge && node.row <= last);
    const turns = new Set(merges.map((node) => node.row)).size, idle = n * turns - merges.length;
    [["merges", merges.length], ["rounds", turns], ["idle", idle]].forEach(([name, x]) => {
      const box = counts.querySelector(`[data-count="${name}"]`);
      number(box, x);
    });
    rounds.told();
    set(rounds.input, "aria-valuetext", graph.labels[last]);
    const { lo, hi } = graph.nodes[graph.outs[chosen]], k = outColumn(chosen) + 1, used = [...found].filter((i) => graph.nodes[i].merge).length;
    const tokens = lo === hi ? `item ${lo + 1} alone` : `items ${lo + 1} to ${hi + 1}`;
    if (input !== null) return say(`Item ${input + 1} reaches outputs ${graph.outs.map((i, o) => graph.nodes[i].lo <= input && input <= graph.nodes[i].hi ? outColumn(o) + 1 : 0).filter(Boolean).join(", ")}.`);
    let text = `Output ${k} is ${op().full(values[graph.outs[chosen]])}: ${tokens}, ${used} merge${used === 1 ? "" : "s"}, at most ${chain} in a row. Grouped as ${grouping(graph, graph.outs[chosen])}.`;
    if (wrong(chosen)) text += ` One after the other it is ${op().full(wanted[chosen])}. ${op().why || ""}`;
    else if (op().why && form !== "sequential") text += " Here the grouping happens to be that of the chain.";
    say(text);
  };

  // -- what the reader chooses
  const pause = () => { clearInterval(timer); timer = 0; write(play, "Play"); };
  const change = (what) => { pause(); what(); rebuild(true); };
  const forms = Object.fromEntries(options.forms.map((name) => [name, button(FORMS[name], () => change(() => { form = name; }))]));
  const block = range("block of", 2, 8, C, (x) => change(() => { C = x; }));
  const count = range("items", 2, 16, texts.length, (x) => change(() => {
    while (texts.length < x) texts.push(fresh(texts.length));
    texts.length = x;
    chosen = x - 1;
    requestAnimationFrame(() => { scroll.scrollLeft = scroll.scrollWidth; });
  }));
  const which = choice("operator", Object.entries(OPERATORS).map(([key, { name }]) => [key, name]), opName, (to) => change(() => {
    const kind = (name) => name === "join" ? 0 : OPERATORS[name].rows ? 2 : 1, kept = kind(opName) === kind(to);
    opName = to;
    if (!kept) texts = texts.map((_, i) => fresh(i));
  }));
  const way = choice("direction", [["forward", "prefixes"], ["backward", "suffixes: the backward pass"]], direction, (to) => change(() => {
    direction = to;
    chosen = direction === "backward" ? 0 : texts.length - 1;
  }));
  const rounds = range("steps shown", 0, 1, 1, (x) => { pause(); upto = x; update(); });
  const play = button("Play", () => {
    if (timer) return pause();
    if (upto >= deep - 1) upto = -1;
    const next = () => {
      if (!stage.isConnected || upto >= deep - 1) return pause();
      upto += 1;
      rounds.input.value = upto;
      update();
      if (upto >= deep - 1) pause();
    };
    write(play, "Pause");
    timer = setInterval(next, 900);
    next();
  });
  counts.append(...[["merges", "merges"], ["rounds", "rounds"], ["idle", "times a worker was idle, with one for each item"]].map(([name, text]) => make("span", {}, make("b", { "data-count": name }), ` ${text}`)));
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(...Object.values(forms), block.node), counts, scroll, ...words, bar(rounds.node, play, count.node), bar(which.node, way.node));
  return (now) => { width = now; drawn.clear(); svg.replaceChildren(); rebuild(false); };
});
