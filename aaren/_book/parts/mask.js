// Dropout on one feature that is 1: a run answers 0, or a/(1 − ρ). The reader moves the rate ρ and the height a.
start("mask", (stage, options) => {
  let { rate: percent, runs, seed } = options, a = options.height / 100, width = 0;
  const LOW = -2, HIGH = 4, MOST = 100, TOP = 1.5, left = 30;
  const { nodes: words, say } = voice();
  const rho = () => percent / 100, loss = (height) => height * height / (1 - rho()) - 2 * height + 1; // the mean over all masks
  const x = (v) => left + (v - LOW) / (HIGH - LOW) * (width - left - 10), base = 150, bottom = 340;
  const across = (height) => left + height / TOP * (width - left - 10), up = (v) => bottom - clamp(v, 0, 1.25) * 104;
  const path = (more) => make("path", { fill: "none", ...more });
  const parts = {
    band: path({ fill: "var(--output)", opacity: 0.2 }), truth: path({ stroke: "currentColor", "stroke-width": 5, opacity: 0.35 }),
    dots: path({ stroke: "var(--output)", "stroke-width": 5, "stroke-linecap": "round" }), mean: path({ stroke: "var(--output)", "stroke-width": 2, "stroke-dasharray": "5 4" }),
    curve: path({ stroke: "var(--score)", "stroke-width": 2 }),
  };
  const knob = make("g", {}, make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "var(--score)", "stroke-width": 3 }));
  const axis = make("g", {}), svg = make("svg", { role: "group", "aria-label": "Runs with dropout, and below them the training's loss" });
  svg.append(axis, ...Object.values(parts), knob);
  const draws = () => { const dice = seeded(seed); return Array.from({ length: runs }, dice); };
  const told = (part, values, d) => { set(part, "d", d); set(part, "data-values", JSON.stringify(values)); };

  const draw = () => {
    const answers = draws().map((u) => u < rho() ? 0 : a / (1 - rho())), gone = answers.filter((v) => !v).length;
    const average = (list) => list.reduce((sum, v) => sum + v, 0) / list.length;
    const mean = average(answers), sigma = Math.sqrt(average(answers.map((v) => (v - mean) ** 2)));
    const heap = (v, n) => Array.from({ length: n }, (_, i) => `M${(x(v) + (i / 10 | 0) * 6 - (Math.ceil(n / 10) - 1) * 3).toFixed(1)} ${base - 8 - i % 10 * 7}h0`).join("");
    told(parts.dots, answers, heap(0, gone) + heap(a / (1 - rho()), runs - gone));
    const [from, to] = [mean - 2 * sigma, mean + 2 * sigma].map((v) => x(clamp(v, LOW, HIGH)).toFixed(1));
    told(parts.band, [mean, sigma], `M${from} ${base}V${base - 96}H${to}V${base}Z`);
    set(parts.mean, "d", `M${x(mean).toFixed(1)} ${base}v-96`);
    set(parts.truth, "d", `M${x(1)} ${base}v-96`);
    const heights = Array.from({ length: 76 }, (_, i) => i / 50);
    told(parts.curve, heights.map(loss), "M" + heights.map((h) => `${across(h).toFixed(1)} ${up(loss(h)).toFixed(1)}`).join("L"));
    set(knob, "transform", `translate(${across(a).toFixed(1)} ${up(loss(a)).toFixed(1)})`);
    set(knob, "aria-valuenow", a);
    set(knob, "aria-valuetext", `height ${show(a, 3)}, loss ${show(loss(a), 3)}`);
    const wide = a * Math.sqrt(rho() / (1 - rho())), off = Math.abs(a - 1 + rho());
    say(`${gone} of ${runs} runs lost the feature and answer 0, the others ${show(a / (1 - rho()), 3)}. Their mean is ${show(mean, 2)} and their σ ${show(sigma, 2)}; over all masks, ${show(a, 3)} and ${show(wide, 2)}. `
      + `Over all masks the loss is ${show(loss(a), 3)}` + (off < 0.006 ? ": the least there is at this rate." : `; at the height ${show(1 - rho(), 3)} it would be ${show(rho(), 3)}.`));
  };
  const knobs = { low: 0, high: TOP, step: 0.01, get: () => a, put: (to) => { a = Math.round(to * 100) / 100; draw(); }, chosen: () => {},
    at: (event) => (event.clientX - svg.getBoundingClientRect().left - left) / (width - left - 10) * TOP };
  handle(knob, knobs);
  set(knob, "aria-label", "height a of the answer");
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), bar(range("dropout, %", 0, 60, percent, (to) => { percent = to; draw(); }).node, range("runs", 1, MOST, runs, (to) => { runs = to; draw(); }).node),
    svg, ...words, bar(button("Draw new masks", () => { seed += 1; draw(); }), button("The height that training takes", () => knobs.put(1 - rho()))));
  return (to) => {
    width = to;
    for (const [name, value] of Object.entries({ width, height: bottom + 24, viewBox: `0 0 ${width} ${bottom + 24}` })) set(svg, name, value);
    const tick = (at, y, text) => make("text", { x: at, y, "text-anchor": "middle" }, text), line = (y) => make("line", { x1: left, x2: width - 10, y1: y, y2: y, stroke: "var(--line)" });
    axis.replaceChildren(make("text", { x: 0, y: 14 }, "a dot a run: its answer"), make("text", { x: 0, y: 32 }, "grey: the truth, 1; shaded: mean ± 2σ"), line(base), line(bottom),
      ...[-2, -1, 0, 1, 2, 3, 4].map((v) => tick(x(v), base + 18, show(v))), make("text", { x: 0, y: 196 }, "the training's loss, by the height a"),
      ...[0, 0.5, 1, 1.5].map((v) => tick(across(v), bottom + 18, show(v))), ...[0, 1].map((v) => make("text", { x: 0, y: up(v) + 4 }, show(v))));
    draw();
  };
});
