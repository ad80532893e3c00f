// A heartbeat: change a piece of it, put it among others, and watch a trained model read it.
start("heartbeat", (stage, options) => {
  const { model, beats, around, classes, labels, patch } = options, T = beats[0].length, each = T / patch;
  const stream = loadStream(model), reader = stream.layers.find(({ kind }) => kind === "aaren"), H = reader.heads;
  const span = model.layers.find(({ kind }) => kind === "aaren").window ?? null, clock = stream.features > patch;
  const LOW = -4, HIGH = 4, REACH = 4, tall = 150, left = 34, top = 10;
  let chosen = options.beat, beat = [...beats[chosen]], count = options.count, place = 1, fresh = false, at = Math.round(T / 3), k = 0, width = 0, threshold = options.threshold;
  let p = [], scores = [], decays = [], resets = [];
  const { nodes: words, say } = voice();

  // -- the model reads the recording, token after token
  const others = () => around.length ? around : beats.filter((_, i) => i !== chosen);
  const recording = () => {
    let n = 0;
    const rest = others();
    return Array.from({ length: count }, (_, i) => i === place - 1 || !rest.length ? beat : rest[n++ % rest.length]).flat();
  };
  // each sample less the mean of those up to it, over their deviation
  const running = (signal) => {
    let n = 0, sum = 0, squares = 0;
    return signal.map((v) => {
      const d = v - signal[0], mean = (sum += d) / ++n, square = (squares += d * d) / n, variance = square - mean * mean;
      return variance > 1e-12 * (square + 1e-3 * signal[0] ** 2) ? (d - mean) / Math.sqrt(variance) : 0;
    });
  };
  const scaled = (signal) => {
    if (options.scale === "none") return signal;
    return fresh ? Array.from({ length: count }, (_, i) => running(signal.slice(i * T, (i + 1) * T))).flat() : running(signal);
  };
  const read = (signal) => {
    stream.reset();
    [p, scores, decays, resets] = [[], [], [], []];
    const heard = scaled(signal);
    for (let i = 0; i < signal.length / patch; i++) {
      const anew = fresh && i > 0 && i % each === 0, token = heard.slice(i * patch, (i + 1) * patch);
      if (anew) stream.reset();
      if (clock) token.push(((fresh ? i % each : i) + 1) / each);
      const y = stream.step(token);
      p.push(y.at(-1));
      scores.push(reader.last.s);
      decays.push(reader.last.g);
      resets.push(anew);
    }
  };
  const chance = (x) => x < 0.001 ? "below 0.001" : x > 0.999 ? "above 0.999" : x.toFixed(3);
  const side = (x) => x >= threshold ? 1 : x <= 1 - threshold ? 0 : -1;
  const spoken = () => p.findIndex((x, i) => side(x) >= 0 && i + 1 >= options.hold && p.slice(i + 1 - options.hold, i + 1).every((z) => side(z) === side(x)));

  // -- pictures
  const line = (more) => make("line", { stroke: "var(--line)", ...more }), path = (more) => make("path", { fill: "none", "stroke-width": 2, ...more });
  const svg = (name) => make("svg", { role: "group", "aria-label": name });
  const upper = svg("Your beat"), lower = svg("The model's probability after every sample, and where each head looks");
  const trace = path({ stroke: "currentColor", "stroke-width": 2.5 }), paper = make("rect", { class: "aaren-paper", fill: "transparent", y: top, height: tall });
  const grip = make("g", { role: "slider", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "piece of the beat", "aria-valuemin": LOW, "aria-valuemax": HIGH },
    make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "currentColor", "stroke-width": 3 }));
  const zero = line({}), ends = make("g", {});
  upper.append(zero, ends, trace, paper, grip);
  const all = path({ stroke: "currentColor", "stroke-width": 1, opacity: 0.6 }), mine = path({ stroke: "var(--value)", "stroke-width": 2 });
  const curve = path({ stroke: "var(--output)", "stroke-width": 2.5 }), limits = [0, 1].map(() => line({ stroke: "var(--score)", "stroke-dasharray": "6 4" }));
  const speaks = make("g", {}, line({ stroke: "var(--score)", "stroke-width": 2 }), make("circle", { r: 6, fill: "var(--score)" }));
  const looks = Array.from({ length: H }, () => make("path", { fill: "var(--maximum)", opacity: 0.75 })), names = make("g", {});
  const here = make("g", {}, line({ stroke: "currentColor", "stroke-dasharray": "2 4" }), make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "currentColor", "stroke-width": 3 }));
  lower.append(names, all, mine, ...limits, curve, ...looks, speaks, here);
  const rowH = 26, band = 50, prob = 110, gap = 24, title = 20;
  const yBeat = (v) => top + (HIGH - clamp(v, LOW, HIGH)) / (HIGH - LOW) * tall, xBeat = (t) => left + t / (T - 1) * (width - left - 12);
  const x = (i) => left + (i + 0.5) / p.length * (width - left - 12), shownBand = () => count > 1 ? band : 0;
  const yProb = (v) => top + shownBand() + title + (1 - v) * prob, floor = (h) => top + shownBand() + title + prob + gap + (h + 1) * rowH;
  const dots = (list) => list.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L");

  const draw = () => {
    set(trace, "d", "M" + dots(beat.map((v, t) => [xBeat(t), yBeat(v)])));
    set(trace, "data-values", JSON.stringify(beat));
    set(grip, "transform", `translate(${xBeat(at)} ${yBeat(beat[at])})`);
    set(grip, "aria-valuenow", beat[at]);
    set(grip, "aria-valuetext", `${show(beat[at], 3)} at sample ${at + 1} of ${T}`);
    const signal = recording(), n = signal.length, height = floor(H - 1) + 22;
    read(signal);
    k = Math.min(k, p.length - 1);
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) set(lower, name, value);
    const xs = (t) => left + (t + 0.5) / n * (width - left - 12), small = (v) => top + (HIGH - clamp(v, LOW, HIGH)) / (HIGH - LOW) * (band - 8);
    const some = (from, to) => count > 1 ? "M" + dots(signal.slice(from, to).map((v, t) => [xs(from + t), small(v)])) : "";
    set(all, "d", some(0, n));
    set(mine, "d", some((place - 1) * T, place * T));
    set(curve, "d", "M" + dots(p.map((v, i) => [x(i), yProb(v)])));
    set(curve, "data-values", JSON.stringify(p));
    limits.forEach((node, i) => { for (const [name, value] of Object.entries({ x1: left, x2: width - 12, y1: yProb(i ? threshold : 1 - threshold), y2: yProb(i ? threshold : 1 - threshold) })) set(node, name, value); });
    const weights = looks.map((node, h) => {
      const w = prefixWeights(scores.map((s) => s[h]), k, { logDecay: decays.map((g) => g[h]), reset: resets, window: span }), most = Math.max(...w);
      set(node, "d", `M${x(0)} ${floor(h)}L${dots(w.map((v, i) => [x(i), floor(h) - v / most * (rowH - 5)]))}L${x(k)} ${floor(h)}Z`);
      set(node, "data-values", JSON.stringify(w));
      return w;
    });
    names.replaceChildren(
      ...[0, 0.5, 1].map((v) => make("text", { x: 0, y: yProb(v) + 4 }, show(v))), line({ x1: left, x2: width - 12, y1: yProb(0), y2: yProb(0) }), line({ x1: left, x2: width - 12, y1: yProb(1), y2: yProb(1) }),
      make("text", { x: left, y: yProb(1) - 6 }, `Probability of ${classes[1]}; dashed: the rule`), make("text", { x: left, y: floor(-1) - 4 }, `Where each head looks, after sample ${(k + 1) * patch}:`),
      ...looks.flatMap((_, h) => [make("text", { x: 0, y: floor(h) - 4 }, H > 9 ? h + 1 : `h ${h + 1}`), line({ x1: left, x2: width - 12, y1: floor(h), y2: floor(h) })]),
      ...[0, n - 1].map((t) => make("text", { x: t ? width - 12 : left, y: height - 4, "text-anchor": t ? "end" : "start" }, t ? n : "sample 1")));
    const when = spoken();
    set(speaks, "visibility", when < 0 ? "hidden" : "visible");
    set(stage, "data-speaks", when < 0 ? "" : (when + 1) * patch);
    if (when >= 0) {
      const [stem, disc] = speaks.children;
      for (const [name, value] of Object.entries({ x1: x(when), x2: x(when), y1: yProb(0), y2: yProb(1) })) set(stem, name, value);
      set(disc, "cx", x(when));
      set(disc, "cy", yProb(p[when]));
    }
    const [stem, ...discs] = here.children;
    for (const [name, value] of Object.entries({ x1: x(k), x2: x(k), y1: top, y2: floor(H - 1) })) set(stem, name, value);
    for (const disc of discs) for (const [name, value] of Object.entries({ cx: x(k), cy: yProb(p[k]) })) set(disc, name, value);
    set(here, "aria-valuemax", p.length * patch);
    set(here, "aria-valuenow", (k + 1) * patch);
    set(here, "aria-valuetext", `sample ${(k + 1) * patch} of ${n}: ${chance(p[k])}`);
    const sharp = weights.map((w) => Math.max(...w)), h = sharp.indexOf(Math.max(...sharp)), peak = weights[h].indexOf(sharp[h]);
    const where = count > 1 && when >= 0 ? ` (beat ${Math.floor(when / each) + 1} of ${count}; yours is ${place})` : "";
    say(`After sample ${(k + 1) * patch} of ${n} the probability of ${classes[1]} is ${chance(p[k])}. `
      + (when < 0 ? `Nowhere does it reach ${show(100 * threshold)} % for either answer: the rule never speaks. ` : `The rule speaks after sample ${(when + 1) * patch}${where}: ${classes[side(p[when])]}. `)
      + (clock && !fresh && k + 1 > each ? `The clock, which ended at 1 in training, has run to ${show((k + 1) / each, 3)}. ` : "")
      + (labels.length ? `The label of your beat is ${classes[labels[chosen]]}. ` : "")
      + `The sharpest, head ${h + 1}, has ${Math.round(100 * sharp[h])} % of its weight on ${patch > 1 ? `samples ${peak * patch + 1} to ${(peak + 1) * patch}` : `sample ${peak + 1}`}.`);
  };

  // -- what the reader does: a piece of the beat goes up and down, its neighbours less
  const bend = (from, t, change) => {
    beat = from.map((v, s) => clamp(v + change * Math.exp(-((s - t) ** 2) / (2 * REACH ** 2)), LOW, HIGH));
    draw();
  };
  grip.addEventListener("keydown", (event) => {
    const aside = { ArrowLeft: -1, ArrowRight: 1 }[event.key], up = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 }[event.key], end = { Home: 0, End: T - 1 }[event.key];
    if (up) bend(beat, at, up);
    else if (aside || end !== undefined) { at = aside ? clamp(at + aside, 0, T - 1) : end; draw(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  let held = null;
  const height = (event) => HIGH - (event.clientY - upper.getBoundingClientRect().top - top) / tall * (HIGH - LOW);
  for (const node of [paper, grip]) {
    node.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      node.setPointerCapture(event.pointerId);
      grip.focus({ preventScroll: true });
      event.preventDefault();
      if (node === paper) at = clamp(Math.round((event.clientX - upper.getBoundingClientRect().left - left) / (width - left - 12) * (T - 1)), 0, T - 1);
      held = { from: beat, y: height(event) };
      draw();
    });
    node.addEventListener("pointermove", (event) => held && bend(held.from, at, height(event) - held.y));
    for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { held = null; });
  }
  handle(here, { low: 1, high: 8 * each, step: 1, get: () => k + 1, put: (to) => { k = clamp(Math.round(to) - 1, 0, p.length - 1); draw(); }, chosen: () => {},
    at: (event) => (event.clientX - lower.getBoundingClientRect().left - left) / (width - left - 12) * p.length + 0.5 });
  set(here, "aria-label", "read up to here");
  const which = choice("beat", beats.map((_, i) => [String(i), `beat ${i + 1}${labels.length ? `, ${classes[labels[i]]}` : ""}`]), String(chosen), (to) => { chosen = Number(to); beat = [...beats[chosen]]; draw(); });
  const again = button("Undo the changes", () => { beat = [...beats[chosen]]; draw(); });
  const many = range("beats in the recording", 1, 8, count, (to) => { count = to; place = Math.min(place, count); set(spot.input, "max", count); spot.input.value = place; spot.told(); sync(); k = count * each - 1; draw(); });
  const spot = range("yours is number", 1, count, place, (to) => { place = to; draw(); });
  const forget = button("Begin anew at each beat", () => { fresh = !fresh; set(forget, "aria-pressed", String(fresh)); draw(); }, { "aria-pressed": "false" });
  const limit = range("the rule speaks at, %", 50, 100, Math.round(100 * threshold), (to) => { threshold = to / 100; draw(); });
  const sync = () => { spot.node.hidden = forget.hidden = count === 1; };
  sync();
  k = count * each - 1;
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(which.node, again), upper, bar(many.node, spot.node, forget), lower, ...words, bar(limit.node));
  return (to) => {
    width = to;
    for (const [name, value] of Object.entries({ width, height: top + tall + 10, viewBox: `0 0 ${width} ${top + tall + 10}` })) set(upper, name, value);
    set(paper, "x", left);
    set(paper, "width", width - left - 12);
    for (const [name, value] of Object.entries({ x1: left, x2: width - 12, y1: yBeat(0), y2: yBeat(0) })) set(zero, name, value);
    ends.replaceChildren(...[-2, 0, 2].map((v) => make("text", { x: 0, y: yBeat(v) + 4 }, show(v))));
    draw();
  };
});
