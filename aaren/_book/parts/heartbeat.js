// A heartbeat: change a piece of it, put it among others, and watch a trained model read it: what it answers, where it
// looks, and which token moves the answer.
start("heartbeat", (stage, options) => {
  const { model, beats, around, classes, labels, patch, usual, reach } = options, T = beats[0].length, each = T / patch;
  const stream = loadStream(model), { layers } = stream, place = layers.findIndex(({ kind }) => kind === "aaren"), reader = layers[place], H = reader.heads;
  const through = (some) => (x) => some.reduce((y, layer) => layer.step(y), x), stem = through(layers.slice(0, place)), rest = through(layers.slice(place));
  const span = model.layers[place].window ?? null, clock = stream.features > patch;
  const HIGH = 4, REACH = 4, tall = 150, left = 34, top = 10, ink = "currentColor";
  let chosen = options.beat, beat = [...beats[chosen]], count = options.count, yours = 1, fresh = false, at = Math.round(T / 3), k = 0, width = 0, threshold = options.threshold;
  let tokens, known, seen, gone, p, weights, moves, job, picked, laid, one = 0;
  const { nodes: words, say } = voice();

  // -- the model reads the recording, token after token
  const list = (length, item) => Array.from({ length }, (_, i) => item(i));
  const recording = () => {
    let n = 0;
    const more = around.length ? around : beats.filter((_, i) => i !== chosen);
    return list(count, (i) => i === yours - 1 || !more.length ? beat : more[n++ % more.length]).flat();
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
    return fresh ? list(count, (i) => running(signal.slice(i * T, (i + 1) * T))).flat() : running(signal);
  };
  const read = (signal) => {
    const heard = scaled(signal);
    tokens = list(signal.length / patch, (i) => [...heard.slice(i * patch, (i + 1) * patch), ...(clock ? [((fresh ? i % each : i) + 1) / each] : [])]);
    if (known === (known = [fresh, tokens].join())) return;
    [seen, gone] = [[], []];
    stream.reset();
    tokens.forEach((token, i) => {
      const anew = fresh && i > 0 && i % each === 0;
      if (anew) stream.reset();
      const { state } = stream, h = stem(token), [y] = rest(h).slice(-1);
      seen.push({ anew, state, h, y, ...reader.last });
    });
    p = seen.map(({ y }) => y);
  };
  // What would the answer be with the usual token in place of token i? What the stem makes of it does not depend on k.
  const without = (i) => {
    const from = i % each * patch;
    stream.state = seen[i].state;
    gone[i] ??= tokens.slice(i, i + reach + 1).map((token, n) => stem(n ? token : [...usual.slice(from, from + patch), ...token.slice(patch)]));
    let y;
    for (let j = i; j <= k; j++) y = rest(gone[i][j - i] ?? seen[j].h);
    return y.at(-1);
  };
  // the newest token first, and as many as a frame allows; the others once the page is at leisure
  const influence = () => {
    const first = Math.max(0, resets().lastIndexOf(true, k)), found = list(k + 1, () => 0);
    let i = k;
    const some = () => {
      for (const end = performance.now() + 16; i >= first && performance.now() < end; i--) found[i] = p[k] - without(i);
      job = i >= first && setTimeout(some);
      if (!job) { moves = found; row(); }
    };
    clearTimeout(job);
    give(moved, { opacity: 0.3, "data-values": null });
    some();
  };
  const resets = () => seen.map(({ anew }) => anew);
  const chance = (x) => x < 0.001 ? "below 0.001" : x > 0.999 ? "above 0.999" : x.toFixed(3);
  const side = (x) => x >= threshold ? 1 : x <= 1 - threshold ? 0 : -1;
  const spoken = () => p.findIndex((x, i) => side(x) >= 0 && i + 1 >= options.hold && p.slice(i + 1 - options.hold, i + 1).every((z) => side(z) === side(x)));

  // -- pictures
  const give = (node, more) => { for (const name in more) set(node, name, more[name]); };
  const line = (more) => make("line", { stroke: "var(--line)", ...more }), path = (stroke, more) => make("path", { fill: "none", stroke, "stroke-width": 2.5, ...more });
  const label = (x, y, text, more) => make("text", { x, y, ...more }, text), area = (fill) => make("path", { fill }), box = (fill, more) => make("rect", { fill, ...more });
  const knob = (...nodes) => make("g", {}, ...nodes, make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: ink, "stroke-width": 3 }));
  const svg = (name) => make("svg", { role: "group", "aria-label": name }), group = () => make("g");
  const plot = (node, d, values) => give(node, { d, "data-values": JSON.stringify(values) });
  const cut = (v) => clamp(v, -HIGH, HIGH), part = (v) => (HIGH - cut(v)) / (2 * HIGH), across = () => width - left - 12;
  const yBeat = (v) => top + part(v) * tall, xBeat = (t) => left + t / (T - 1) * across();
  const upper = svg("Your beat"), lower = svg("Probability after every sample, where each head looks, how each token moves the answer");
  const trace = path(ink), paper = box("transparent", { class: "aaren-paper", x: left, y: top, height: tall }), grip = knob(), zero = line();
  give(grip, { role: "slider", tabindex: 0, "data-lm-suppress-shortcuts": "true", "aria-label": "piece of the beat", "aria-valuemin": -HIGH, "aria-valuemax": HIGH });
  upper.append(zero, ...[-2, 0, 2].map((v) => label(0, yBeat(v) + 4, show(v))), trace, paper, grip);
  const all = path(ink, { "stroke-width": 1, opacity: 0.6 }), mine = path("var(--value)"), curve = path("var(--output)");
  const limits = [0, 1].map(() => line({ stroke: "var(--score)", "stroke-dasharray": "6 4" })), looks = list(H, () => area("var(--maximum)")), names = group();
  const speaks = make("g", {}, line({ stroke: "var(--score)", "stroke-width": 2 }), make("circle", { r: 6, fill: "var(--score)" })), dotted = () => knob(line({ stroke: ink, "stroke-dasharray": "2 4" })), here = dotted();
  // influence: its labels and bars, the token in question, its say in what the heads see, and where a pointer asks
  const scale = group(), moved = area("var(--output)"), token = dotted(), says = box("var(--wash)"), under = box("transparent", { x: left }), told = make("p", { style: "min-height:3em" });
  lower.append(names, scale, all, mine, ...limits, curve, says, ...looks, moved, under, speaks, token, here);
  const hide = (how) => [scale, says, moved, token].forEach((node) => set(node, "visibility", how));
  const rowH = 26, x = (i) => left + (i + 0.5) / p.length * across(), base = () => top + (count > 1 ? 70 : 20);
  const yProb = (v) => base() + (1 - v) * 110, floor = (h) => base() + 134 + (h + 1) * rowH, middle = () => floor(H - 1) + 2 * rowH;
  const level = (y) => ({ x1: left, x2: width - 12, y1: y, y2: y });
  const dots = (list) => list.map(([a, b]) => `${a.toFixed(1)} ${b.toFixed(1)}`).join("L");
  const named = (i) => patch > 1 ? `token ${i + 1} (samples ${i * patch + 1} to ${(i + 1) * patch})` : `sample ${i + 1}`;

  const draw = () => {
    plot(trace, "M" + dots(beat.map((v, t) => [xBeat(t), yBeat(v)])), beat);
    give(grip, { transform: `translate(${xBeat(at)} ${yBeat(beat[at])})`, "aria-valuenow": beat[at], "aria-valuetext": `${show(beat[at], 3)} at sample ${at + 1} of ${T}` });
    const signal = recording(), n = signal.length, height = middle() + 64;
    if (laid !== (laid = height)) { hide("hidden"); write(told, ""); } // else they stand in the old place until they are known
    read(signal);
    k = Math.min(k, p.length - 1);
    give(lower, { width, height, viewBox: `0 0 ${width} ${height}` });
    const some = (from, to) => count > 1 ? "M" + dots(signal.slice(from, to).map((v, t) => [left + (from + t + 0.5) / n * across(), top + part(v) * 42])) : "";
    set(all, "d", some(0, n));
    set(mine, "d", some((yours - 1) * T, yours * T));
    plot(curve, "M" + dots(p.map((v, i) => [x(i), yProb(v)])), p);
    limits.forEach((node, i) => give(node, level(yProb(i ? threshold : 1 - threshold))));
    weights = looks.map((node, h) => {
      const w = prefixWeights(seen.map(({ s }) => s[h]), k, { logDecay: seen.map(({ g }) => g[h]), reset: resets(), window: span }), most = Math.max(...w);
      plot(node, `M${x(0)} ${floor(h)}L${dots(w.map((v, i) => [x(i), floor(h) - v / most * (rowH - 5)]))}L${x(k)} ${floor(h)}Z`, w);
      return w;
    });
    names.replaceChildren(
      ...[0, 0.5, 1].map((v) => label(0, yProb(v) + 4, show(v))), ...[0, 1].map((v) => line(level(yProb(v)))),
      label(left, yProb(1) - 6, `Probability of ${classes[1]}; dashed: the rule`), label(left, floor(-1) - 4, `Where heads look, after sample ${(k + 1) * patch}:`),
      ...looks.flatMap((_, h) => [label(0, floor(h) - 4, `h ${h + 1}`), line(level(floor(h)))]),
      label(left, height - 4, "sample 1"), label(width - 12, height - 4, n, { "text-anchor": "end" }));
    const when = spoken();
    set(speaks, "visibility", when < 0 ? "hidden" : "visible");
    set(stage, "data-speaks", when < 0 ? "" : (when + 1) * patch);
    if (when >= 0) {
      const [stem, disc] = speaks.children;
      give(stem, { x1: x(when), x2: x(when), y1: yProb(0), y2: yProb(1) });
      give(disc, { cx: x(when), cy: yProb(p[when]) });
    }
    const y = yProb(p[k]);
    give(here, { transform: `translate(${x(k)} ${y})`, "aria-valuemax": n, "aria-valuenow": (k + 1) * patch, "aria-valuetext": `sample ${(k + 1) * patch} of ${n}: ${chance(p[k])}` });
    give(here.firstChild, { y1: top - y, y2: middle() + 38 - y });
    const sharp = weights.map((w) => Math.max(...w)), h = sharp.indexOf(Math.max(...sharp)), peak = weights[h].indexOf(sharp[h]);
    const where = count > 1 && when >= 0 ? ` (beat ${Math.floor(when / each) + 1} of ${count}; yours is ${yours})` : "";
    say(`After sample ${(k + 1) * patch} of ${n} the probability of ${classes[1]} is ${chance(p[k])}. `
      + (when < 0 ? `Neither answer reaches ${show(100 * threshold)} %: the rule never speaks. ` : `The rule speaks after sample ${(when + 1) * patch}${where}: ${classes[side(p[when])]}. `)
      + (clock && !fresh && k + 1 > each ? `The clock, which ended at 1 in training, has run to ${show((k + 1) / each, 3)}. ` : "")
      + (labels.length ? `The label of your beat is ${classes[labels[chosen]]}. ` : "")
      + `The sharpest, head ${h + 1}, has ${Math.round(100 * sharp[h])} % of its weight on ${named(peak)}.`);
    influence();
  };
  const row = () => {
    const sizes = moves.map(Math.abs), most = Math.max(...sizes), full = Math.max(0.01, most), y = middle(), i = one = Math.min(picked ?? sizes.indexOf(most), k), end = Math.min(i + reach, k);
    const share = (to) => show(weights.flatMap((w) => w.slice(i, to + 1)).reduce((a, b) => a + 100 * b / H, 0), 2), name = named(i), size = sizes[i];
    const much = `moves the answer by ${size < 0.001 ? "less than 0.001" : `${size.toFixed(3)} towards ${classes[+(moves[i] > 0)]}`}`;
    hide(null);
    plot(moved, moves.map((d, j) => `M${x(j - 0.45)} ${y}V${y - d / full * rowH}H${x(j + 0.45)}V${y}`).join(""), moves);
    set(moved, "opacity", 1);
    scale.replaceChildren(label(left, y - 32, `Tokens move it: ↑ to ${classes[1]}, ↓ to ${classes[0]}`), line(level(y)), ...[-16, rowH].map((d) => label(0, y + d, show(d < 0 ? full : -full, 2))));
    give(says, { x: x(i - 0.5), y: floor(-1), width: x(end) - x(i - 1), height: H * rowH });
    give(under, { y: floor(-1), width: across(), height: (H + 3) * rowH });
    give(token.firstChild, { y1: -H * rowH - 90, y2: 0 });
    give(token, { transform: `translate(${x(i)} ${y + 38})`, "aria-valuemax": k + 1, "aria-valuenow": i + 1, "aria-valuetext": `${name} ${much}` });
    write(told, `${name[0].toUpperCase() + name.slice(1)} ${much}: with the usual one it is ${chance(p[k] - moves[i])}. `
      + `The heads' weight there is ${share(i)} %${reach ? `, and ${share(end)} % on all that the stem makes with it` : ""}.`);
  };

  // -- what the reader does: a piece of the beat goes up and down, its neighbours less
  const bend = (from, t, change) => {
    beat = from.map((v, s) => cut(v + change * Math.exp(-((s - t) ** 2) / (2 * REACH ** 2))));
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
  let held;
  const height = (event) => HIGH - (event.clientY - upper.getBoundingClientRect().top - top) / tall * 2 * HIGH, along = (event, node) => (event.clientX - node.getBoundingClientRect().left - left) / across();
  for (const node of [paper, grip]) {
    drag(node, (event) => {
      grip.focus({ preventScroll: true });
      if (node === paper) at = clamp(Math.round(along(event, upper) * (T - 1)), 0, T - 1);
      held = { from: beat, y: height(event) };
      draw();
    }, (event) => bend(held.from, at, height(event) - held.y));
  }
  const pointed = (event) => along(event, lower) * p.length + 0.5;
  const walk = (node, name, get, put) => {
    handle(node, { low: 1, high: 8 * each, step: 1, get: () => get() + 1, put: (to) => put(Math.round(to) - 1), chosen() {}, at: pointed });
    set(node, "aria-label", name);
  };
  const pick = (to) => { picked = clamp(to, 0, k); if (!job) row(); };
  walk(here, "read up to here", () => k, (to) => { k = clamp(to, 0, p.length - 1); draw(); });
  walk(token, "token that moves the answer", () => one, pick);
  for (const type of ["pointermove", "pointerdown"]) under.addEventListener(type, (event) => pick(Math.round(pointed(event)) - 1));
  const which = choice("beat", beats.map((_, i) => [String(i), `beat ${i + 1}${labels.length ? `, ${classes[labels[i]]}` : ""}`]), String(chosen), (to) => { chosen = Number(to); undo(); });
  const undo = () => { beat = [...beats[chosen]]; draw(); }, again = button("Undo", undo);
  const many = range("beats in the recording", 1, 8, count, (to) => { count = to; yours = Math.min(yours, count); set(spot.input, "max", count); spot.input.value = yours; spot.told(); sync(); draw(); });
  const spot = range("place of your beat", 1, count, yours, (to) => { yours = to; draw(); });
  const forget = button("Begin anew at each beat", () => { fresh = !fresh; set(forget, "aria-pressed", fresh); draw(); }, { "aria-pressed": "false" });
  const limit = range("the rule speaks at, %", 50, 100, Math.round(100 * threshold), (to) => { threshold = to / 100; draw(); });
  const sync = () => { spot.node.hidden = forget.hidden = count === 1; k = count * each - 1; };
  sync();
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(which.node, again), upper, bar(many.node, spot.node, forget), lower, told, ...words, bar(limit.node));
  return (to) => {
    width = to;
    give(upper, { width, height: tall + 20, viewBox: `0 0 ${width} ${tall + 20}` });
    set(paper, "width", across());
    give(zero, level(yBeat(0)));
    draw();
  };
});
