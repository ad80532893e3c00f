// What would it cost: bytes kept and work, for Aaren, linear attention and a cache.
const MODELS = {
  aaren: { name: "Aaren", color: "var(--output)", kept: ({ H, D }) => H * (D + 2), work: ({ H, D }) => 2 * H * D, all: (c) => 2 * c.H * c.D * c.T,
    code: ({ H, D }) => `aaren.layers.Aaren(heads=${H}, dim=${D}, concat_heads=True)` },
  linear: { name: "linear attention", color: "var(--value)", kept: ({ H, D }) => H * D * (D + 1), work: ({ H, D }) => 2 * H * D * (D + 1), all: (c) => 2 * c.H * c.D * (c.D + 1) * c.T,
    code: ({ H, D }) => `aaren.layers.LinearSelfAttention(heads=${H}, dim=${D})` },
  cache: { name: "attention with a cache", color: "var(--score)", kept: ({ H, D, T }) => 2 * H * D * T, work: ({ H, D, T }) => 2 * H * D * T, all: ({ H, D, T }) => H * D * T * (T + 1),
    code: ({ H, D }) => `keras.layers.MultiHeadAttention(num_heads=${H}, key_dim=${D})` },
};
const SIZES = { float64: [8, 8], float32: [4, 4], float16: [4, 2] }; // a number of a state, of a cache
const human = (x, units) => {
  let i = 0;
  const step = units[0] === "B" ? 1024 : 1000;
  while (x >= step && i < units.length - 1) { x /= step; i += 1; }
  return `${show(x, 3)} ${units[i]}`.trim();
};
const bytes = (x) => human(x, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
const times = (x) => human(x, ["", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion"]);
const costs = (c) => Object.fromEntries(Object.entries(MODELS).map(([key, m]) => [key, {
  kept: c.L * m.kept(c) * SIZES[c.precision][key === "cache" ? 1 : 0], work: c.L * m.work(c), all: c.L * m.all(c),
}]));

start("cost", (stage, options) => {
  const c = { L: options.layers, H: options.heads, D: options.dim, T: options.length, precision: options.precision }, MOST = 20;
  let width = 0, model = "aaren";
  const { nodes: words, say } = voice();
  const power = (name, low, high, get, put, unit = "") => {
    const made = range(name, low, high, Math.round(Math.log2(get())), (x) => { put(2 ** x); update(); });
    made.told = () => { const text = get().toLocaleString("en") + unit; write(made.node.lastChild, text); set(made.input, "aria-valuetext", text); };
    return made;
  };
  const layers = range("layers", 1, 48, c.L, (x) => { c.L = x; update(); });
  const heads = power("heads", 0, 7, () => c.H, (x) => { c.H = x; }), dim = power("size of a head", 2, 8, () => c.D, (x) => { c.D = x; });
  const length = power("tokens", 0, MOST, () => c.T, (x) => { c.T = x; });
  const digits = choice("numbers", [["float64", "float64"], ["float32", "float32"], ["float16", "float16 (states float32)"]], c.precision, (to) => { c.precision = to; update(); });
  const svg = make("svg", { role: "group", "aria-label": "Bytes kept against the number of tokens, both axes logarithmic" });
  const grip = make("g", {}, make("line", { stroke: "currentColor", "stroke-dasharray": "4 4" }), make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "currentColor", "stroke-width": 3 }));
  const lines = Object.entries(MODELS).map(([key, m]) => ({ key, path: make("path", { fill: "none", stroke: m.color, "stroke-width": 3 }), name: make("text", { style: `fill:${m.color}` }, m.name) }));
  const left = 62, top = 12, tall = 200, x = (t) => left + Math.log2(t) / MOST * (width - left - 20);
  handle(grip, { low: 0, high: MOST, step: 1, get: () => Math.log2(c.T), put: (t) => { c.T = 2 ** t; update(); }, chosen: () => {},
    at: (event) => (event.clientX - svg.getBoundingClientRect().left - left) / (width - left - 20) * MOST });
  set(grip, "aria-label", "tokens");

  const cells = {}, rows = Object.entries(MODELS).map(([key, m]) => {
    cells[key] = ["kept", "work", "all"].map(() => make("td", {}));
    const pick = button(m.name, () => { model = key; update(); }, { class: "aaren-pick", style: `color:${m.color}` });
    return make("tr", {}, make("th", { scope: "row" }, pick), ...cells[key]);
  });
  const table = make("table", { class: "aaren-costs" }, make("thead", {}, make("tr", {}, ...["", "bytes kept", "work for this token", "work for all"].map((text) => make(text ? "th" : "td", text ? { scope: "col" } : {}, text)))), make("tbody", {}, ...rows));
  const code = make("code", { class: "aaren-line", tabindex: 0 }), copy = button("Copy", () => {
    const done = () => { write(copy, "Copied"); setTimeout(() => write(copy, "Copy"), 1500); };
    const select = () => { getSelection().selectAllChildren(code); done(); };
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(done, select); else select();
  });

  const update = () => {
    const now = costs(c);
    for (const made of [layers, heads, dim, length]) made.told();
    heads.input.value = Math.log2(c.H);
    length.input.value = Math.log2(c.T);
    for (const [key, texts] of Object.entries(cells)) ["kept", "work", "all"].forEach((name, i) => {
      write(texts[i], name === "kept" ? bytes(now[key][name]) : times(now[key][name]));
      set(texts[i], "data-value", now[key][name]);
    });
    rows.forEach((row, i) => set(row.querySelector("button"), "aria-pressed", String(Object.keys(MODELS)[i] === model)));
    write(code, MODELS[model].code(c));
    const at = (t) => costs({ ...c, T: t }), ends = [at(1), at(2 ** MOST)];
    const low = Math.log2(Math.min(...Object.values(ends[0]).map((m) => m.kept))) - 1, high = Math.log2(Math.max(...Object.values(ends[1]).map((m) => m.kept))) + 1;
    const y = (b) => top + (high - Math.log2(b)) / (high - low) * tall;
    for (const { key, path, name } of lines) {
      set(path, "d", `M${x(1)} ${y(ends[0][key].kept)}L${x(2 ** MOST)} ${y(ends[1][key].kept)}`);
      const right = key === "cache";
      set(name, "x", right ? x(2 ** (MOST - 1)) - 12 : x(2 ** MOST));
      set(name, "y", right ? y(at(2 ** (MOST - 1)).cache.kept) : y(ends[1][key].kept) - 6);
      set(name, "text-anchor", "end");
    }
    set(grip, "transform", `translate(${x(c.T)} 0)`);
    const [line, ...discs] = grip.children;
    for (const [name, value] of Object.entries({ x1: 0, x2: 0, y1: top, y2: top + tall })) set(line, name, value);
    for (const disc of discs) set(disc, "cy", y(now[model].kept));
    set(grip, "aria-valuenow", Math.log2(c.T));
    set(grip, "aria-valuetext", `${c.T.toLocaleString("en")} tokens`);
    const ticks = [1, 1024, 2 ** MOST].map((t) => make("text", { x: x(t), y: top + tall + 18, "text-anchor": t === 1 ? "start" : t > 1e6 ? "end" : "middle" }, t.toLocaleString("en")));
    const marks = [0.15, 0.5, 0.85].map((part) => 2 ** Math.round(low + (high - low) * part)).map((b) => make("text", { x: 0, y: y(b) + 4 }, bytes(b)));
    axis.replaceChildren(make("line", { x1: left, x2: width - 20, y1: top + tall, y2: top + tall, stroke: "currentColor" }), ...ticks, ...marks, make("text", { x: left, y: top + tall + 36 }, "tokens so far"), make("text", { x: 0, y: 10 }, "bytes kept"));
    const share = now.cache.kept / now.aaren.kept, cross = (c.D + 1) / 2 * SIZES[c.precision][0] / SIZES[c.precision][1];
    say(`After ${c.T.toLocaleString("en")} tokens a cache keeps ${bytes(now.cache.kept)}, Aaren ${bytes(now.aaren.kept)}: ${share >= 1 ? `${share.toLocaleString("en", { maximumSignificantDigits: 3 })} times as much` : "less than Aaren"}. Linear attention keeps ${bytes(now.linear.kept)}, as much as a cache of ${show(cross, 3)} tokens. Work is counted in multiply-adds on what is kept; projections cost each of them about the same.`);
  };
  const axis = make("g", {});
  svg.append(axis, ...lines.flatMap(({ path, name }) => [path, name]), grip);
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(layers.node, heads.node, dim.node, length.node, digits.node), make("div", { class: "aaren-scroll" }, table), svg, ...words, bar(code, copy));
  return (now) => {
    width = now;
    for (const [name, value] of Object.entries({ width, height: top + tall + 44, viewBox: `0 0 ${width} ${top + tall + 44}` })) set(svg, name, value);
    update();
  };
});
