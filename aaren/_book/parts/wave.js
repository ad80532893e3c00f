// A trained network: the reader draws a wave, the model streams it; its dropout runs, or its seeds, draw a band.
start("wave", (stage, options) => {
  const { theta, steps: T } = options, LOW = -2, HIGH = 2, models = [options.model].flat();
  const OTHERS = [0.4, 2, 0.2, 0.05].filter((x) => !theta.includes(x));
  const sine = (f) => Array.from({ length: T }, (_, t) => Math.sin(f * t));
  const home = sine(theta[0]), beside = theta.slice(1).map(sine);
  let wave = sine(theta[0]), at = Math.floor(T / 3), other = -1, percent = options.dropout, runs = options.runs, seed = options.seed, factor = 2;
  let width = 0, noisy, dice, samples = [], homes = [], pending = 0, next = 0, frame = 0, answers, apart, agreed, seeds = 0, state;
  const plain = models.map((model) => loadStream(model)), { nodes: words, say } = voice();
  const top = 8, tall = 230, left = 26, deep = 44, floor = top + tall + 32 + deep; // the strip's
  const average = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const x = (t) => left + t / (T - 1) * (width - left - 10), y = (v) => top + (HIGH - clamp(v, LOW, HIGH)) / (HIGH - LOW) * tall;
  const trail = (list) => "M" + list.map((v, t) => `${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("L");

  const path = (more) => make("path", { fill: "none", ...more });
  const parts = {
    band: path({ fill: "var(--output)", opacity: 0.2 }), some: path({ stroke: "var(--output)", opacity: 0.4 }),
    wave: path({ stroke: "currentColor", "stroke-width": 5, opacity: 0.35 }),
    mean: path({ stroke: "var(--output)", "stroke-width": 1.5, "stroke-dasharray": "5 4" }), answer: path({ stroke: "var(--output)", "stroke-width": 2.5 }),
  };
  const paper = make("rect", { class: "aaren-paper", fill: "transparent", y: top, height: tall });
  const now = make("line", { stroke: "currentColor", "stroke-dasharray": "2 4", y1: top, y2: floor });
  const bars = home.map(() => make("rect", { fill: "var(--maximum)" })), title = make("text", { y: top + tall + 16, stroke: "var(--ground)", "stroke-width": 4, "paint-order": "stroke" });
  const strip = make("g", {}, ...bars);
  const pen = make("g", { role: "slider", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "pen", "aria-valuemin": LOW, "aria-valuemax": HIGH },
    make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "currentColor", "stroke-width": 3 }));
  const axis = make("g", {});
  const svg = make("svg", { role: "group", "aria-label": "Your wave and the model's answer, step by step" });
  svg.append(axis, strip, parts.band, parts.some, parts.wave, parts.mean, parts.answer, now, title, paper, pen);
  const heads = make("svg", { role: "img" });

  // -- the models: a stream of each without dropout, and one of the first that draws its masks anew, from the run's own seed, for each run
  const ready = () => {
    const rated = (layer) => ({ ...layer, ...(layer.kind === "aaren" && { dropout: percent / 100 }) });
    noisy = loadStream({ ...models[0], layers: models[0].layers.map(rated) }, { random: () => (dice ? dice() : 1) });
    homes = [];
  };
  const run = (one, list) => {
    one.reset();
    return list.map((v, t) => {
      const [answer] = one.step([v, ...beside.map((other) => other[t])]);
      if (one === plain[0] && list === wave && t === at) state = one.state;
      return answer;
    });
  };
  const sample = (r, list) => {
    dice = seeded(seed + r);
    return run(noisy, list);
  };
  const fan = (list) => {
    const middle = home.map((_, t) => average(list.map((one) => one[t])));
    return [middle, middle.map((m, t) => Math.sqrt(average(list.map((one) => (one[t] - m) ** 2)) * list.length / (list.length - seeds)))];
  };
  // four steps, and the nearest four of the training, a sine of any phase: the best of 180, then by ever smaller steps
  const distance = (four) => {
    let best = 0, least = Infinity;
    const attempt = (phase) => {
      const d = four.reduce((sum, v, j) => sum + (v - Math.sin(theta[0] * j + phase)) ** 2, 0);
      if (d < least) [best, least] = [phase, d];
    };
    for (let i = 0; i < 180; i++) attempt(i * Math.PI / 90);
    for (let h = 0.04; h > 1e-8; h /= 2) for (const side of [-h, h]) attempt(best + side);
    return Math.sqrt(least);
  };
  const work = () => {
    frame = 0;
    const begun = performance.now();
    while (pending > 0 && performance.now() - begun < 12) {
      samples[next] = sample(next, wave);
      homes[next] ??= wave.join() === home.join() ? samples[next] : sample(next, home);
      next = (next + 1) % runs;
      pending -= 1;
    }
    if (pending > 0) frame = requestAnimationFrame(work);
    draw();
  };
  // the answer at once, the runs as fast as the machine makes them
  const update = () => {
    answers = plain.slice(0, seeds ? 9 : 1).map((one) => run(one, wave));
    apart = wave.slice(3).map((_, t) => distance(wave.slice(t, t + 4)));
    pending = seeds ? 0 : runs;
    draw();
    if (!frame) frame = requestAnimationFrame(work);
  };

  // -- the picture
  const told = (part, values, d) => { set(part, "d", d); set(part, "data-values", JSON.stringify(values)); };
  const draw = () => {
    set(svg, "data-busy", pending > 0 ? "true" : null);
    told(parts.wave, wave, trail(wave));
    told(parts.answer, answers[0], trail(answers[0]));
    bars.forEach((bar, t) => {
      const size = clamp((apart[t - 3] || 0) / 2, 0, 1);
      set(bar, "y", floor - size * deep);
      set(bar, "height", size * deep);
      set(bar, "opacity", 0.4 + 0.6 * size);
    });
    set(strip, "data-apart", JSON.stringify(apart));
    const whole = average(apart), here = at < 3 ? "" : `, ${apart[at - 3].toFixed(2)} at step ${at + 1}`;
    write(title, `distance from the training: mean ${whole.toFixed(2)}${here}`);
    const done = seeds ? answers : samples.filter(Boolean);
    if (done.length) {
      const [middle, sigma] = fan(done), spread = sigma.map((s) => factor * s);
      const edge = (sign) => middle.map((m, t) => `${x(t).toFixed(1)} ${y(m + sign * spread[t]).toFixed(1)}`);
      told(parts.mean, middle, trail(middle));
      told(parts.band, spread, `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z`);
      set(parts.some, "d", done.slice(0, 4 + seeds).map(trail).join(""));
      const inside = average(wave.map((v, t) => Math.abs(v - middle[t]) <= spread[t] ? 1 : 0));
      const off = Math.sqrt(average(wave.map((v, t) => (v - middle[t]) ** 2))), wide = average(spread);
      const far = sigma.filter((_, t) => apart[t - 3] > 0.1), grown = average(far) / average(fan(seeds ? agreed ??= plain.map((one) => run(one, home)) : homes.filter(Boolean))[1]);
      const misses = inside < 0.9 && factor >= 2, held = `${Math.round(100 * inside)} % of your wave`;
      set(share, "data-inside", inside);
      write(share, `holds ${held}`);
      set(band.input, "aria-valuetext", `${show(factor)}: holds ${held}`);
      say(`At step ${at + 1} you draw ${show(wave[at], 3)} and the model answers ${show(answers[0][at], 3)}. The mean of ${done.length} ${seeds ? "seeds" : "dropout runs"} is ${show(off, 2)} off, the band is ±${show(wide, 2)}: it holds ${held}. `
        + (!far.length ? "No step is farther than 0.1 from the training. " : grown >= 0 ? `At ${far.length} of ${T} steps the distance is above 0.1; there the band is ${show(grown, 2)} times as wide as on the training's wave. ` : "")
        + (seeds ? (!far.length ? "" : grown > 1.5 ? "The seeds part there: no wave of the training made them agree. " : "The seeds agree there, right or wrong. ")
            + (inside < 0.7 ? "What all of them get wrong alike, their spread does not show." : "")
          : percent === 0 ? "Without dropout all runs are alike, and there is hardly a band."
          : misses || far.length && grown < 1.5 ? `${misses ? "Where it misses, the runs agree with each other and not with your wave: the" : "The"} band tells how far dropout moves the answer, not how far your wave is from the training.`
            : wide > 2 * off ? `The band is ${show(wide / off, 2)} times as wide as the mean is wrong: its width comes from the rate and the f that you chose, not from the error.` : "Change the rate, and the band follows, though the model has not changed."));
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
  let last;
  const step = (event) => clamp(Math.round((event.clientX - svg.getBoundingClientRect().left - left) / (width - left - 10) * (T - 1)), 0, T - 1);
  const height = (event) => HIGH - (event.clientY - svg.getBoundingClientRect().top - top) / tall * (HIGH - LOW);
  for (const node of [paper, pen]) {
    drag(node, (event) => {
      pen.focus({ preventScroll: true });
      put(last = step(event), height(event));
    }, (event) => {
      const t = step(event);
      put(t, height(event), t === last ? null : last);
      last = t;
    });
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
  const count = range("runs", 2, 100, runs, (to) => { runs = to; samples.length = homes.length = Math.min(samples.length, runs); next = 0; update(); });
  const band = range("band: mean ± f σ, f =", 0.5, 10, factor, (to) => { factor = to; draw(); });
  set(band.input, "step", 0.1);
  band.input.value = factor; // in steps of 1 from 0.5 there is no 2
  const share = make("b", {});
  const masks = button("Draw new masks", () => { seed += 1000; homes = []; update(); });
  const pick = (to) => {
    seeds = to;
    ways.forEach((way, i) => set(way, "aria-pressed", String(i === seeds)));
    set(parts.some, "opacity", 0.4 + seeds / 2);
    for (const node of [rate.input, count.input, masks]) node.disabled = seeds > 0;
    write(legend, `  shaded: mean ± f σ of ${seeds ? `the ${models.length} seeds, each thin` : "its dropout runs, four of them thin"}, mean dashed`);
    if (width) update();
  };
  const ways = ["dropout runs", `${models.length} seeds`].map((name, i) => button(name, () => pick(i)));
  const legend = make("span", { style: "white-space:normal" });
  const key = (text, color) => make("span", {}, make("b", { style: `color:${color}` }, "— "), text);
  ready();
  pick(0);
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(...shapes), svg,
    make("p", { class: "aaren-small" }, key("your wave", "currentColor"), "  ", key("the model's answer", "var(--output)"), legend),
    ...models.length > 1 ? [make("div", { class: "aaren-bar", role: "group", "aria-label": "band from" }, "band from: ", ...ways)] : [],
    bar(band.node, share), bar(rate.node, count.node, masks), ...words, make("details", {}, make("summary", {}, "What the model keeps after this step"), heads, caption));
  return (to) => {
    width = to;
    for (const [name, value] of Object.entries({ width, height: floor + 26, viewBox: `0 0 ${width} ${floor + 26}` })) set(svg, name, value);
    set(paper, "x", left);
    set(paper, "width", width - left - 10);
    bars.forEach((bar, t) => { set(bar, "x", x(t) - 1); set(bar, "width", Math.max(2, (width - left) / T - 1)); });
    axis.replaceChildren(make("line", { x1: left, x2: width - 10, y1: floor, y2: floor, stroke: "var(--line)" }), ...[0, 2].map((v) => make("text", { y: floor - v / 2 * deep + 4 }, v)),
      ...[-1, 0, 1].flatMap((v) => [make("line", { x1: left, x2: width - 10, y1: y(v), y2: y(v), stroke: "var(--line)" }), make("text", { x: 0, y: y(v) + 4 }, show(v))]),
      ...[1, Math.round(T / 2), T].map((t) => make("text", { x: x(t - 1), y: floor + 18, "text-anchor": t === 1 ? "start" : t === T ? "end" : "middle" }, t === 1 ? "step 1" : t)));
    update();
  };
});
