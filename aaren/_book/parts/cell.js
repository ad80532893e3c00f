// The cell: tokens to drag, and the recurrence (m, u, w) over them.
const CELLS = {
  package: ["as in the package", {}],
  zero: ["m starts at 0", { start: 0 }],
  naive: ["no guard for −∞ − (−∞)", {}],
  bare: ["no maximum: plain sums", { stable: false }],
};
const COLOURS = { s: "score", v: "value", m: "maximum", u: "denominator", w: "numerator", o: "output" };
const PARTS = ["m", "keep", "add", "u", "w", "o"];
const SIGNS = { s: "s", v: "v", m: "m", keep: "e^{m−m′}", add: "e^{s−m′}", u: "u", w: "w", o: "o = w/u" };

// The recurrence of chapter 3 as first written: it does not know that −∞ − (−∞) is no number.
const firstTry = (scores, values, round) => {
  let m = -Infinity, u = 0, w = 0;
  return scores.map((score, k) => {
    const s = round(score), v = round(values[k]), next = Math.max(m, s);
    const keep = round(Math.exp(round(m - next))), add = round(Math.exp(round(s - next)));
    u = round(round(u * keep) + add);
    w = round(round(w * keep) + round(add * v));
    m = next;
    return { m, u, w, keep, add, o: round(w / u) };
  });
};

const cellSteps = (scores, values, cell, precision) => {
  const round = precision === "float32" ? Math.fround : (x) => x;
  if (cell === "naive") return firstTry(scores, values, round);
  const { outputs, states } = prefixAttention(scores, values.map((v) => [v]), { ...CELLS[cell][1], precision });
  const exp = (x) => round(Math.exp(round(x)));
  return states.map(({ m, u, w }, k) => {
    const before = k ? states[k - 1].m : cell === "package" ? -Infinity : 0;
    const unit = m === -Infinity ? 0 : m;
    return { m, u, w: w[0], o: outputs[k][0], keep: exp(before - unit), add: exp(round(scores[k]) - unit) };
  });
};

// Text with e^{…} as elements.
const formula = (text) => text.split(/\^\{(.*?)\}/).map((part, i) => i % 2 ? make("sup", {}, part) : part);

const equations = (cell, s, v, old, now) => {
  const f = show, minus = (x) => x < 0 ? `− (${f(x)})` : `− ${f(x)}`;
  const bare = cell === "bare", guard = cell === "package";
  const unit = guard ? "r" : "m_new";
  return {
    m: bare ? ["m = 0", "m = 0.0", "0"] : ["m′ = max(m, s)", "m_new = np.maximum(m, s)" + (guard ? "\nr = 0 if m_new == -np.inf else m_new" : ""), `max(${f(old.m)}, ${f(s)}) = ${f(now.m)}`],
    keep: bare ? ["no factor", "keep = 1.0", "1"] : ["e^{m − m′}", `keep = np.exp(m - ${unit})`, `e^{${f(old.m)} ${minus(now.m)}} = ${f(now.keep)}`],
    add: bare ? ["e^{s}", "add = np.exp(s)", `e^{${f(s)}} = ${f(now.add)}`] : ["e^{s − m′}", `add = np.exp(s - ${unit})`, `e^{${f(s)} ${minus(now.m)}} = ${f(now.add)}`],
    u: [bare ? "u′ = u + e^{s}" : "u′ = u e^{m − m′} + e^{s − m′}", "u = u * keep + add", `${f(old.u)} × ${f(now.keep)} + ${f(now.add)} = ${f(now.u)}`],
    w: [bare ? "w′ = w + e^{s} v" : "w′ = w e^{m − m′} + e^{s − m′} v", "w = w * keep + add * v", `${f(old.w)} × ${f(now.keep)} + ${f(now.add)} × ${f(v)} = ${f(now.w)}`],
    o: ["o = w′ / u′", guard ? "o = w / u if u > 0 else 0.0" : "o = w / u", `${f(now.w)} / ${f(now.u)} = ${f(now.o)}`],
  };
};

const cellWords = (scores, steps, cell, k) => {
  const now = steps[k], lost = steps.findIndex((step) => Number.isNaN(step.o));
  const since = lost < k ? ` That began with token ${lost + 1}, and NaN stays: no later token can mend it.` : "";
  if (Number.isNaN(now.o)) {
    if (cell === "zero") return `Token ${k + 1}: m starts at 0, and every score so far lies so far below it that its exponential is rounded to 0. So u = 0, and 0 / 0 is NaN.`;
    if (cell === "naive") return `Token ${k + 1}: the exponent −∞ − (−∞) is not a number, so the sums are NaN.${since} Choose another cell to mend it.`;
    return `Token ${k + 1}: ${now.u === 0 ? "each exponential was rounded to 0, and 0 / 0" : "an exponential overflowed, and ∞ / ∞"} is NaN.${since} Choose the cell of the package: it subtracts the maximum.`;
  }
  if (now.u === 0) return `Token ${k + 1} is hidden, and nothing was seen before it: the sums are empty, and the output is 0.`;
  const weights = prefixWeights(scores.slice(0, k + 1), k), top = weights.indexOf(Math.max(...weights));
  const most = `The output is ${show(now.o)}; token ${top + 1} weighs most, ${Math.round(100 * weights[top])} %.`;
  if (cell === "bare") return `Token ${k + 1} adds ${show(now.add)} to the denominator. ${most}`;
  if (k === 0) return `Token 1 is all there is: the output is its value, ${show(now.o)}.`;
  if (scores[k] > steps[k - 1].m) return `Token ${k + 1} is a record: m rises to ${show(now.m)}, the old sums shrink by the factor ${show(now.keep)}, the new term counts 1. ${most}`;
  return `Token ${k + 1} is no record: the old sums stay, the new term counts ${show(now.add)}. ${most}`;
};

start("cell", (stage, options) => {
  let scores = options.scores.map(Number), values = options.values.map(Number);
  let { cell, precision } = options, k = options.read - 1, at = k, layoutWidth = 0, timer = 0;
  const [lowS, highS] = options.score_range, [lowV, highV] = options.value_range;
  const most = 16, full = options.lines;
  const hs = full ? 120 : 100, hv = 140, topS = 16, topV = topS + hs + 34, height = topV + hv + (full ? 8 : 26);
  const yS = (s) => topS + (highS - clamp(s, lowS, highS)) / (highS - lowS) * hs;
  const yV = (v) => topV + (highV - clamp(v, lowV, highV)) / (highV - lowV) * hv;
  const { nodes: words, say } = voice();

  // -- the picture and the table: columns of one width, so that they stand under each other
  const svg = make("svg", { role: "group", "aria-label": "Tokens: a bar is a score, a dot a value" });
  const table = make("table", {});
  const scroll = make("div", { class: "aaren-scroll" }, svg, ...(full ? [table] : []));
  let columns = [], head = 0, col = 0;
  const x = (i) => head + (i + 0.5) * col;

  const part = {};
  const rebuild = () => {
    const n = scores.length;
    head = full ? 78 : 44;
    col = Math.max(full ? 44 : 24, Math.floor((layoutWidth - head - 8) / n));
    const width = head + n * col;
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) set(svg, name, value);
    const line = (y, color) => make("line", { x1: head, x2: width, y1: y, y2: y, stroke: color });
    const label = (text, y, more) => make("text", { x: 0, y, ...more }, text);
    part.band = make("rect", { y: 0, height, width: col, fill: "var(--wash)" });
    part.m = make("path", { fill: "none", stroke: "var(--maximum)", "stroke-width": 2.5, "stroke-dasharray": "7 4", "data-part": "m" });
    part.out = make("path", { fill: "none", stroke: "var(--output)", "stroke-width": 2.5, "data-part": "o" });
    part.star = make("path", { fill: "var(--output)", "data-part": "o" });
    part.mName = make("text", { x: head - 6, "text-anchor": "end", style: "fill:var(--maximum)" });
    part.oName = make("text", { x: head - 6, "text-anchor": "end", style: "fill:var(--output)" });
    columns = scores.map((_, i) => {
      const mine = {
        place: make("rect", { x: x(i) - col / 2, y: 0, width: col, height, fill: "transparent" }),
        bar: make("rect", { x: x(i) - col * 0.3, width: col * 0.6, fill: "var(--score)" }),
        far: make("text", { x: x(i), "text-anchor": "middle" }),
        disc: make("circle", { cx: x(i), fill: "var(--value)", opacity: 0.35 }),
        score: grip("var(--score)"), value: grip("var(--value)"),
      };
      mine.place.addEventListener("click", () => { pause(); k = at = i; update(); });
      handle(mine.score, { low: lowS, high: highS, step: 0.1, get: () => scores[i], put: (s) => put(scores, i, s), chosen: () => choose(i),
        at: (event) => highS - (event.clientY - svg.getBoundingClientRect().top - topS) / hs * (highS - lowS) });
      handle(mine.value, { low: lowV, high: highV, step: 0.1, get: () => values[i], put: (v) => put(values, i, v), chosen: () => choose(i),
        at: (event) => highV - (event.clientY - svg.getBoundingClientRect().top - topV) / hv * (highV - lowV) });
      return mine;
    });
    const all = (name) => columns.map((mine) => mine[name]);
    svg.replaceChildren(part.band, ...all("place"),
      label("score s", topS + 4, { style: "fill:var(--score)" }), label("value v", topV + 4, { style: "fill:var(--value)" }),
      ...[[yS(0), lowS < 0 && highS > 0], [topS + hs, true], [topV + hv, true], [yV(0), lowV < 0 && highV > 0]].filter((l) => l[1]).map(([y]) => line(y, "var(--line)")),
      ...[[highV, yV(highV) + 22], [lowV, yV(lowV)], [lowS, yS(lowS)], [highS, yS(highS) + 22]].map(([v, y]) => label(show(v), y, { opacity: 0.7 })),
      ...(full ? [] : [label("token", height - 4), ...columns.map((_, i) => make("text", { x: x(i), y: height - 4, "text-anchor": "middle" }, i + 1))]),
      ...all("bar"), part.m, part.mName, ...all("far"), ...all("disc"), part.out, part.oName, part.star, ...all("score"), ...all("value"));
    if (full) {
      const row = (name) => make("tr", {}, make("th", { scope: "row", "data-part": name, style: `color:var(--${COLOURS[name]})` }, ...formula(SIGNS[name])), ...columns.map((mine) => mine[`n_${name}`] = make("td", { "data-part": name })));
      table.style.width = width + "px";
      table.replaceChildren(make("colgroup", {}, make("col", { style: `width:${head}px` }), ...columns.map(() => make("col", {}))), make("thead", {}, make("tr", {}, make("th", { scope: "row" }, "token"), ...columns.map((_, i) => make("th", { scope: "col" }, i + 1)))), make("tbody", {}, ...["s", "v", ...PARTS].map(row)));
    }
    if (read.input.max !== String(n)) set(read.input, "max", n);
    update();
  };
  const grip = (color) => make("g", {}, make("circle", { r: Math.min(22, col / 2), fill: "transparent" }), make("circle", { r: Math.min(8, col / 3), fill: "var(--ground)", stroke: color, "stroke-width": 3 }));

  // -- what the reader does
  const put = (list, i, x) => {
    pause();
    list[i] = Number(Number(x).toPrecision(12));
    choose(i);
    update();
  };
  const choose = (i) => { if (at !== i || i > k) { at = i; k = Math.max(k, i); update(); } };
  const pause = () => { clearInterval(timer); timer = 0; write(play, "Play"); };
  const read = range("tokens read", 1, scores.length, k + 1, (value) => { pause(); k = at = value - 1; update(); });
  const play = button("Play", () => {
    if (timer) return pause();
    if (k >= scores.length - 1) k = -1;
    const next = () => {
      if (!stage.isConnected || k >= scores.length - 1) return pause();
      at = k += 1;
      update();
      if (k >= scores.length - 1) pause();
    };
    write(play, "Pause");
    timer = setInterval(next, 700);
    next();
  });
  const add = button("Add a token", () => {
    pause();
    const n = scores.length;
    scores.push(clamp([1, -1, 2, 0][n % 4], lowS, highS));
    values.push(clamp((lowV + highV) / 2 + [1, -1, 0][n % 3], lowV, highV));
    k = at = n;
    rebuild();
    scroll.scrollLeft = scroll.scrollWidth;
  });
  const remove = button("Remove it", () => {
    pause();
    for (const list of [scores, values]) list.splice(at, 1);
    at = Math.min(at, scores.length - 1);
    k = Math.min(k, scores.length - 1);
    rebuild();
  });
  const hide = button("score −∞", () => put(scores, at, -Infinity)), huge = button("score 10⁴", () => put(scores, at, 1e4));
  const one = make("span", {});
  const which = choice("cell", Object.entries(CELLS).map(([key, [text]]) => [key, text]), cell, (to) => { cell = to; update(); });
  const digits = choice("numbers", [["float64", "float64"], ["float32", "float32"]], precision, (to) => { precision = to; update(); });
  const again = () => { scores = options.scores.map(Number); values = options.values.map(Number); cell = options.cell; precision = options.precision; };
  const tries = [
    ["Start again", () => { k = options.read - 1; }],
    ["A score of 10⁴", () => { scores[Math.min(2, scores.length - 1)] = 1e4; cell = "bare"; k = 3; }],
    ["All far below 0", () => { scores = scores.map((s) => s - 800); cell = "zero"; k = 1; }],
    ["A hidden first token", () => { scores[0] = -Infinity; cell = "naive"; k = 2; }],
  ].map(([text, change]) => button(text, () => {
    pause();
    again();
    change();
    at = k = Math.min(k, scores.length - 1);
    which.list.value = cell;
    digits.list.value = precision;
    rebuild();
  }));

  // -- equation, code, numbers of the step, linked
  const grid = make("div", { class: "aaren-grid", role: "grid", "aria-label": "The newest token's step: equation, code, numbers" });
  const cells = full ? PARTS.map((name) => ["", "", ""].map((_, c) => make("div", { role: "gridcell", tabindex: name === "m" && c === 0 ? 0 : -1, "data-part": name }))) : [];
  cells.forEach((row, r) => {
    grid.append(make("div", { role: "row" }, ...row));
    row.forEach((node, c) => node.addEventListener("keydown", (event) => {
      const to = { ArrowUp: [r - 1, c], ArrowDown: [r + 1, c], ArrowLeft: [r, c - 1], ArrowRight: [r, c + 1] }[event.key];
      const next = to && cells[to[0]] && cells[to[0]][to[1]];
      if (!to) return;
      event.preventDefault();
      event.stopPropagation();
      if (next) { set(node, "tabindex", -1); set(next, "tabindex", 0); next.focus(); }
    }));
  });
  const boxes = ["m", "u", "w", "o"].map((name) => make("span", { class: "aaren-box", "data-part": name, style: `--mine:var(--${COLOURS[name]})` }, make("b", {}, `${COLOURS[name]} ${name === "o" ? "w/u" : name}`), make("span", {})));

  const update = () => {
    const n = scores.length, steps = cellSteps(scores, values, cell, precision);
    const weights = prefixWeights(scores.slice(0, k + 1), k), lost = Number.isNaN(steps[k].o);
    set(part.band, "x", x(k) - col / 2);
    let mPath = "", outPath = "", pen = "M";
    steps.forEach((step, i) => {
      const mine = columns[i], s = scores[i], v = values[i], zero = yS(clamp(0, lowS, highS)), y = yS(s);
      if (Number.isFinite(step.m) && cell !== "bare") mPath += `M${x(i) - col / 2} ${yS(step.m)}h${col}`;
      if (Number.isFinite(step.o)) { outPath += `${pen}${x(i)} ${yV(step.o)}`; pen = "L"; } else pen = "M";
      set(mine.bar, "y", Math.min(y, zero));
      set(mine.bar, "height", Math.abs(y - zero));
      set(mine.score, "transform", `translate(${x(i)} ${y})`);
      set(mine.value, "transform", `translate(${x(i)} ${yV(v)})`);
      set(mine.disc, "cy", yV(v));
      set(mine.disc, "r", i > k || lost ? 0 : Math.sqrt(weights[i]) * 30);
      for (const name of ["bar", "score", "value"]) set(mine[name], "opacity", i > k ? 0.35 : 1);
      write(mine.far, s < lowS || s > highS ? show(s) : "");
      set(mine.far, "y", s < lowS ? zero - 6 : zero + 16); // beside its bar, not on it
      for (const [node, name, value] of [[mine.score, "score", s], [mine.value, "value", v]]) {
        set(node, "aria-label", `${name} of token ${i + 1}`);
        set(node, "aria-valuenow", Number.isFinite(value) ? clamp(value, name === "score" ? lowS : lowV, name === "score" ? highS : highV) : lowS);
        set(node, "aria-valuetext", show(value).replace("−∞", "minus infinity"));
      }
      if (full) for (const name of ["s", "v", ...PARTS]) {
        number(mine[`n_${name}`], { s, v, ...step }[name], col < 58 ? 3 : 4);
        mine[`n_${name}`].classList.toggle("aaren-now", i === k);
      }
    });
    set(part.m, "d", mPath);
    set(part.out, "d", outPath);
    set(part.mName, "y", yS(steps[0].m) + 4);
    write(part.mName, mPath ? "m" : "");
    write(part.oName, Number.isFinite(steps[0].o) ? "o" : "");
    if (Number.isFinite(steps[0].o)) set(part.oName, "y", yV(steps[0].o) + 4);
    set(part.star, "d", Number.isFinite(steps[k].o) ? `M${x(k)} ${yV(steps[k].o) - 9}l7 9l-7 9l-7 -9z` : "");
    if (full) {
      const old = k ? steps[k - 1] : { m: cell === "package" || cell === "naive" ? -Infinity : 0, u: 0, w: 0 };
      const texts = equations(cell, scores[k], values[k], old, steps[k]);
      cells.forEach((row, r) => row.forEach((node, c) => {
        const text = texts[PARTS[r]][c];
        if (node.dataset.text === text) return;
        node.dataset.text = text;
        node.replaceChildren(...(c === 1 ? [make("code", {}, text)] : formula(text)));
      }));
    }
    boxes.forEach((box, i) => number(box.lastChild, [steps[k].m, steps[k].u, steps[k].w, steps[k].o][i]));
    read.input.value = k + 1;
    read.told();
    set(read.input, "aria-valuetext", `${k + 1} of ${n}`);
    write(one, `Token ${at + 1}:`);
    add.disabled = n >= most;
    remove.disabled = n <= 1;
    say(cellWords(scores, steps, cell, k));
  };

  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(
    make("p", {}, options.todo),
    ...(full ? [bar(make("span", {}, "Try:"), ...tries), ...words] : []),
    scroll, ...(full ? [] : [make("div", { class: "aaren-boxes" }, ...boxes), ...words]),
    bar(read.node, play, ...(full ? [] : tries.slice(0, 1))), bar(one, ...(full ? [hide, huge] : []), remove, add),
    ...(full ? [bar(which.node, digits.node), grid] : []),
  );
  link(stage);
  return (width) => { layoutWidth = width; rebuild(); };
});
