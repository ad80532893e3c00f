// A trained network: the reader draws a wave, the model streams it, and its dropout runs draw a band.
start("wave", (stage, options) => {
  const { model, theta, steps: T } = options, LOW = -2, HIGH = 2;
  const OTHERS = [0.4, 2, 0.2, 0.05].filter((x) => !theta.includes(x));
  const sine = (f) => Array.from({ length: T }, (_, t) => Math.sin(f * t));
  const beside = theta.slice(1).map(sine), token = (t) => [wave[t], ...beside.map((one) => one[t])];
  let wave = sine(theta[0]), at = Math.floor(T / 3), other = -1, percent = options.dropout, runs = options.runs, seed = options.seed, factor = 2;
  let width = 0, noisy, dice, samples = [], pending = 0, next = 0, frame = 0, answers = [], state;
  const plain = loadStream(model), { nodes: words, say } = voice();
  const top = 8, tall = 230, left = 26;
  const x = (t) => left + t / (T - 1) * (width - left - 10), y = (v) => top + (HIGH - clamp(v, LOW, HIGH)) / (HIGH - LOW) * tall;
  const trail = (list) => "M" + list.map((v, t) => `${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("L");

  const path = (more) => make("path", { fill: "none", ...more });
  const parts = {
    band: path({ fill: "var(--output)", opacity: 0.2 }), some: path({ stroke: "var(--output)", opacity: 0.4 }),
    wave: path({ stroke: "currentColor", "stroke-width": 5, opacity: 0.35 }),
    mean: path({ stroke: "var(--output)", "stroke-width": 1.5, "stroke-dasharray": "5 4" }), answer: path({ stroke: "var(--output)", "stroke-width": 2.5 }),
  };
  const paper = make("rect", { class: "aaren-paper", fill: "transparent", y: top, height: tall });
  const now = make("line", { stroke: "currentColor", "stroke-dasharray": "2 4", y1: top, y2: top + tall });
  const pen = make("g", { role: "slider", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "pen", "aria-valuemin": LOW, "aria-valuemax": HIGH },
    make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "currentColor", "stroke-width": 3 }));
  const axis = make("g", {});
  const svg = make("svg", { role: "group", "aria-label": "Your wave and the model's answer, step by step" });
  svg.append(axis, parts.band, parts.some, parts.wave, parts.mean, parts.answer, now, paper, pen);
  const heads = make("svg", { role: "img" });

  // -- the model: one stream without dropout, and one that draws its masks anew, from the run's own seed, for each run
  const ready = () => {
    const rated = (layer) => ({ ...layer, ...(layer.kind === "aaren" && { dropout: percent / 100 }) });
    noisy = loadStream({ ...model, layers: model.layers.map(rated) }, { random: () => (dice ? dice() : 1) });
  };
  const sample = (r) => {
    dice = seeded(seed + r);
    noisy.reset();
    return wave.map((_, t) => noisy.step(token(t))[0]);
  };
  const stream = () => {
    plain.reset();
    answers = wave.map((_, t) => {
      const [answer] = plain.step(token(t));
      if (t === at) state = plain.state;
      return answer;
    });
  };
  const work = () => {
    frame = 0;
    const begun = performance.now();
    do {
      samples[next] = sample(next);
      next = (next + 1) % runs;
      pending -= 1;
    } while (pending > 0 && performance.now() - begun < 12);
    if (pending > 0) frame = requestAnimationFrame(work);
    draw();
  };
  // the answer at once, the runs as fast as the machine makes them
  const update = () => {
    stream();
    pending = runs;
    draw();
    if (!frame) frame = requestAnimationFrame(work);
  };

  // -- the picture
  const told = (part, values, d) => { set(part, "d", d); set(part, "data-values", JSON.stringify(values)); };
  const draw = () => {
    set(svg, "data-busy", pending > 0 ? "true" : null);
    told(parts.wave, wave, trail(wave));
    told(parts.answer, answers, trail(answers));
    const done = samples.filter(Boolean), average = (list) => list.reduce((a, b) => a + b, 0) / list.length;
    if (done.length) {
      const middle = wave.map((_, t) => average(done.map((run) => run[t])));
      const spread = middle.map((m, t) => factor * Math.sqrt(average(done.map((run) => (run[t] - m) ** 2))));
      const edge = (sign) => middle.map((m, t) => `${x(t).toFixed(1)} ${y(m + sign * spread[t]).toFixed(1)}`);
      told(parts.mean, middle, trail(middle));
      told(parts.band, spread, `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z`);
      set(parts.some, "d", done.slice(0, 4).map(trail).join(""));
      const inside = average(wave.map((v, t) => Math.abs(v - middle[t]) <= spread[t] ? 1 : 0));
      const off = Math.sqrt(average(wave.map((v, t) => (v - middle[t]) ** 2))), wide = average(spread);
      const ratio = wide / off;
      const held = `${Math.round(100 * inside)} % of your wave`;
      set(share, "data-inside", inside);
      write(share, `holds ${held}`);
      set(band.input, "aria-valuetext", `${show(factor)}: holds ${held}`);
      say(`At step ${at + 1} you draw ${show(wave[at], 3)} and the model answers ${show(answers[at], 3)}. The mean of ${done.length} dropout runs is ${show(off, 2)} off, the band is ±${show(wide, 2)}: it holds ${held}. `
        + (percent === 0 ? "Without dropout all runs are alike, and there is hardly a band."
          : inside < 0.9 && factor >= 2 ? "Where it misses, the runs agree with each other and not with your wave: the band tells how far dropout moves the answer, not how far your wave is from the training."
            : ratio > 2 ? `It is ${show(ratio, 2)} times as wide as the mean is wrong: its width comes from the rate and the f that you chose, not from the error.` : "Change the rate, and the band follows, though the model has not changed."));
    }
    set(pen, "transform", `translate(${x(at)} ${y(wave[at])})`);
    set(pen, "aria-valuenow", wave[at]);
    set(pen, "aria-valuetext", `${show(wave[at])} at step ${at + 1} of ${T}`);
    for (const name of ["x1", "x2"]) set(now, name, x(at));
    drawState();
  };
  const drawState = () => {
    const rows = [], size = 12, shown = state.map((part, i) => ({ ...part, i })).filter((part) => part.u);
    let y = 14, count = 0;
    const most = (list) => Math.max(1e-9, ...list.flat(2).map(Math.abs));
    for (const { i, u, w } of shown) {
      const wide = Math.min(56, (width - 8) / u.length), outs = w.map((row, h) => row.map((v) => u[h] ? v / u[h] : 0)), top = most(outs);
      rows.push(make("text", { x: 0, y }, `${shown.length > 1 ? `layer ${i + 1}, ` : ""}${u.length} heads: u, and w/u`));
      y += 8;
      u.forEach((votes, h) => {
        const g = make("g", { transform: `translate(${h * wide} ${y})`, "data-u": votes, "data-o": JSON.stringify(outs[h]) });
        g.append(make("rect", { width: wide - 6, height: 5, fill: "var(--line)" }), make("rect", { width: (wide - 6) * clamp(Math.log2(1 + votes) / 8, 0, 1), height: 5, fill: "var(--denominator)" }), make("text", { y: 20 }, show(votes, 2)),
          ...outs[h].map((v, d) => make("rect", { y: 26 + d * size, width: wide - 6, height: size - 1, fill: v < 0 ? "var(--score)" : "var(--output)", opacity: 0.08 + 0.92 * Math.abs(v) / top })));
        rows.push(g);
        count += 2 + w[h].length;
      });
      y += 26 + size * w[0].length + 20;
    }
    heads.replaceChildren(...rows);
    for (const [name, value] of Object.entries({ width, height: y, viewBox: `0 0 ${width} ${y}` })) set(heads, name, value);
    write(caption, `All that the model keeps after step ${at + 1}: ${count} numbers. A bar is a head's denominator u (its votes), a square an entry of its output w/u: orange above 0, blue below.`);
    set(heads, "aria-label", shown.map(({ i, u }) => `Layer ${i + 1}, denominators ${u.map((v) => show(v, 2)).join(", ")}`).join(". "));
  };
  const caption = make("p", { class: "aaren-small" });

  // -- what the reader does
  const put = (t, v, from = null) => { // a line from the step before, when the hand is fast
    const value = Math.round(clamp(v, LOW, HIGH) * 100) / 100;
    const [a, b] = from === null ? [t, wave[t]] : [from, wave[from]];
    for (let s = Math.min(a, t); s <= Math.max(a, t); s++) wave[s] = a === t ? value : b + (value - b) * (s - a) / (t - a);
    at = t;
    update();
  };
  pen.addEventListener("keydown", (event) => {
    const side = { ArrowLeft: -1, ArrowRight: 1 }[event.key], up = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 0.5, PageDown: -0.5 }[event.key];
    const ends = { Home: 0, End: T - 1 }[event.key];
    if (up) put(at, wave[at] + up);
    else if (side && !event.shiftKey) put(clamp(at + side, 0, T - 1), wave[at]);
    else if (side || ends !== undefined) { at = side ? clamp(at + side, 0, T - 1) : ends; update(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  let last = null;
  const step = (event) => clamp(Math.round((event.clientX - svg.getBoundingClientRect().left - left) / (width - left - 10) * (T - 1)), 0, T - 1);
  const height = (event) => HIGH - (event.clientY - svg.getBoundingClientRect().top - top) / tall * (HIGH - LOW);
  for (const node of [paper, pen]) {
    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      node.setPointerCapture(event.pointerId);
      pen.focus({ preventScroll: true });
      event.preventDefault();
      put(last = step(event), height(event));
    });
    node.addEventListener("pointermove", (event) => {
      if (last === null) return;
      const t = step(event);
      put(t, height(event), t === last ? null : last);
      last = t;
    });
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { last = null; });
  }
  const take = (list) => { wave = list; update(); };
  const shapes = [
    button(`slow wave, θ = ${show(theta[0])}`, () => take(sine(theta[0]))),
    ...theta.slice(1, 2).map((f) => button(`fast wave, θ = ${show(f)}`, () => take(sine(f)))),
    button("a step", () => take(wave.map((_, t) => t < T / 2 ? -1 : 1))),
    button("another frequency", () => {
      other = (other + 1) % OTHERS.length;
      write(shapes.at(-1), `another frequency: θ = ${show(OTHERS[other])}`);
      take(sine(OTHERS[other]));
    }),
  ];
  const rate = range("dropout, %", 0, 60, percent, (to) => { percent = to; ready(); update(); });
  const count = range("runs", 2, 100, runs, (to) => { runs = to; samples.length = Math.min(samples.length, runs); next = 0; update(); });
  const band = range("band: mean ± f σ, f =", 0.5, 10, factor, (to) => { factor = to; draw(); });
  set(band.input, "step", 0.1);
  band.input.value = factor; // in steps of 1 from 0.5 there is no 2
  const share = make("b", {});
  const masks = button("Draw new masks", () => { seed += 1000; update(); });
  const key = (text, color) => make("span", {}, make("b", { style: `color:${color}` }, "— "), text);
  ready();
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(...shapes), svg,
    make("p", { class: "aaren-small" }, key("your wave", "currentColor"), "  ", key("the model's answer", "var(--output)"), "  shaded: mean ± f σ of its dropout runs, mean dashed, four of them thin"),
    bar(band.node, share), bar(rate.node, count.node, masks), ...words, heads, caption);
  return (to) => {
    width = to;
    for (const [name, value] of Object.entries({ width, height: top + tall + 26, viewBox: `0 0 ${width} ${top + tall + 26}` })) set(svg, name, value);
    set(paper, "x", left);
    set(paper, "width", width - left - 10);
    axis.replaceChildren(...[-1, 0, 1].flatMap((v) => [make("line", { x1: left, x2: width - 10, y1: y(v), y2: y(v), stroke: "var(--line)" }), make("text", { x: 0, y: y(v) + 4 }, show(v))]),
      ...[1, Math.round(T / 2), T].map((t) => make("text", { x: x(t - 1), y: top + tall + 18, "text-anchor": t === 1 ? "start" : t === T ? "end" : "middle" }, t === 1 ? "step 1" : t)));
    update();
  };
});
