// Curves through points: each from a start of its own, and changed only as far as the points ask. The reader moves the
// points, and sees where the curves agree.
start("curves", (stage, options) => {
  let { count, seed, pace } = options, width = 0, untrained = false, wave = options.wave, at = options.at, points = options.points.map(([x, y]) => ({ x, y }));
  const EDGE = 5, TOP = 2.5, UNITS = 50, NOISE = 1e-4, MOST = 8, left = 30, top = 44, tall = 250;
  const waves = { none: null, slow: (x) => Math.sin(Math.PI * x / 4), fast: (x) => -Math.sin(5 * Math.PI * x / 4) };
  const list = (length, item) => Array.from({ length }, (_, i) => item(i)), sum = (some) => some.reduce((a, b) => a + b, 0);
  const grid = list(121, (i) => (i / 60 - 1) * EDGE), { nodes: words, say } = voice();

  // -- a curve: 50 fixed units sin(a x + c), the faster the more its start winds, and weights that the points change as
  // little as they can
  const unit = (dice) => {
    const normal = () => Math.sqrt(-2 * Math.log(1 - dice())) * Math.cos(2 * Math.PI * dice());
    return { a: pace / 4 * normal(), c: 2 * Math.PI * dice(), w: Math.sqrt(2 / UNITS) * normal() };
  };
  const read = (units) => (x) => units.map(({ a, c }) => Math.sin(a * x + c));
  const dot = (one, other) => sum(one.map((v, j) => v * other[j]));
  const draws = () => list(count, (n) => {
    const dice = seeded(1000 * seed + n), units = list(UNITS, () => unit(dice)), features = read(units);
    return { features, start: units.map(({ w }) => w), seen: grid.map(features) };
  });
  // least squares for the points, nearest to the starting weights: (K + noise) α = what the start misses
  const fitted = ({ features, start }) => {
    const seen = points.map(({ x }) => features(x));
    const rows = seen.map((one, i) => [...seen.map((other, j) => dot(one, other) / UNITS + (i === j ? NOISE : 0)), points[i].y - dot(one, start)]);
    rows.forEach((pivot, i) => rows.forEach((row, k) => {
      if (k === i) return;
      const share = row[i] / pivot[i];
      pivot.forEach((v, j) => { row[j] -= share * v; });
    }));
    const alpha = rows.map((row, i) => row.at(-1) / row[i] / UNITS);
    return start.map((w, j) => w + sum(alpha.map((share, i) => share * seen[i][j])));
  };

  // -- pictures
  const x = (v) => left + (v + EDGE) / (2 * EDGE) * (width - left - 12), y = (v) => top + (TOP - clamp(v, -TOP - 1, TOP + 1)) / (2 * TOP) * tall;
  const path = (more) => make("path", { fill: "none", ...more });
  const parts = {
    band: path({ fill: "var(--output)", opacity: 0.2 }), truth: path({ stroke: "currentColor", "stroke-width": 5, opacity: 0.35 }),
    curves: path({ stroke: "var(--output)", "stroke-width": 1.2, opacity: 0.8 }), mean: path({ stroke: "var(--output)", "stroke-width": 2.5, "stroke-dasharray": "5 4" }),
  };
  const svg = make("svg", { role: "group", "aria-label": "Curves through points" }), axis = make("g", {}), knobs = make("g", {});
  const disc = () => [make("circle", { r: 22, fill: "transparent" }), make("circle", { r: 9, fill: "var(--ground)", stroke: "var(--value)", "stroke-width": 3 })];
  const line = make("line", { y1: 0, y2: -tall, stroke: "var(--score)", "stroke-dasharray": "2 4" }), look = make("g", {}, line, ...disc());
  set(look.lastChild, "stroke", "var(--score)");
  svg.append(axis, ...Object.values(parts), look, knobs);
  const told = (part, values, d) => { set(part, "d", d); set(part, "data-values", JSON.stringify(values)); };
  const trail = (values) => values.map((v, i) => `${x(grid[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("L");
  const spread = (values) => {
    const mean = sum(values) / count;
    return { mean, sigma: Math.sqrt(sum(values.map((v) => (v - mean) ** 2)) / (count - 1)) };
  };
  let starts = draws(), band = [];

  const draw = () => {
    const nets = starts.map((one) => ({ ...one, w: untrained ? one.start : fitted(one) })), curves = nets.map(({ seen, w }) => seen.map((f) => dot(f, w)));
    const through = (v) => spread(nets.map(({ features, w }) => dot(features(v), w)));
    band = grid.map((_, i) => spread(curves.map((curve) => curve[i])));
    told(parts.curves, curves, curves.map((curve) => "M" + trail(curve)).join(""));
    told(parts.mean, band.map(({ mean }) => mean), "M" + trail(band.map(({ mean }) => mean)));
    const [low, high] = [-2, 2].map((f) => band.map(({ mean, sigma }) => mean + f * sigma));
    told(parts.band, band.map(({ sigma }) => sigma), `M${trail(low)}L${trail(high).split("L").reverse().join("L")}Z`);
    const truth = waves[wave], values = truth ? grid.map(truth) : [];
    told(parts.truth, values, truth ? "M" + trail(values) : "");
    points.forEach((point, i) => {
      const { node } = point;
      set(node, "transform", `translate(${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)})`);
      set(node, "aria-label", `point ${i + 1} of ${points.length}`);
      set(node, "aria-valuenow", point.y);
      set(node, "aria-valuetext", `height ${show(point.y, 3)} at x = ${show(point.x, 3)}`);
    });
    const here = through(at), near = points.map((p) => Math.abs(p.x - at)).sort((a, b) => a - b)[0];
    set(look, "transform", `translate(${x(at).toFixed(1)} ${top + tall})`);
    set(look, "aria-valuenow", at);
    set(look, "aria-valuetext", `x = ${show(at, 3)}: mean ${show(here.mean, 2)}, σ ${show(here.sigma, 2)}`);
    const inside = values.filter((v, i) => Math.abs(v - band[i].mean) <= 2 * band[i].sigma).length / grid.length;
    say(`At x = ${show(at, 3)}, ${show(near, 2)} from the nearest point, the ${count} ${untrained ? "starts" : "curves"} have mean ${show(here.mean, 2)} and σ ${show(here.sigma, 2)}.`
      + (truth ? ` Mean ± 2σ holds ${Math.round(100 * inside)} % of the ${wave} wave.` : ""));
  };

  // -- what the reader does: a point goes anywhere, by hand or by the arrow keys
  const along = (event) => (event.clientX - svg.getBoundingClientRect().left - left) / (width - left - 12) * 2 * EDGE - EDGE;
  const knob = (point) => {
    const node = point.node = make("g", { role: "slider", tabindex: 0, "aria-valuemin": -TOP, "aria-valuemax": TOP }, ...disc());
    const move = (to, up) => {
      point.x = clamp(Math.round(to * 20) / 20, -EDGE, EDGE);
      point.y = clamp(Math.round(up * 20) / 20, -TOP, TOP);
      draw();
    };
    node.addEventListener("keydown", (event) => {
      const [aside, up] = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1], PageUp: [0, 1], PageDown: [0, -1] }[event.key] ?? [];
      if (aside === undefined) return;
      move(point.x + aside, point.y + up);
      event.preventDefault();
      event.stopPropagation();
    });
    drag(node, () => node.focus({ preventScroll: true }), (event) => move(along(event), TOP - (event.clientY - svg.getBoundingClientRect().top - top) / tall * 2 * TOP));
    knobs.append(node);
  };
  points.forEach(knob);
  handle(look, { low: -EDGE, high: EDGE, step: 0.1, get: () => at, put: (to) => { at = Math.round(to * 10) / 10; draw(); }, chosen() {}, at: along });
  set(look, "aria-label", "where to look, x");
  const onWave = () => { if (waves[wave]) for (const point of points) point.y = waves[wave](point.x); };
  const add = button("A point where they part most", () => {
    const widest = band.reduce((best, { sigma }, i) => sigma > band[best].sigma ? i : best, 0), point = { x: grid[widest], y: (waves[wave] ?? (() => band[widest].mean))(grid[widest]) };
    points.push(point);
    knob(point);
    sync();
  });
  const drop = button("Take the last point away", () => { points.pop().node.remove(); sync(); });
  const before = button("Before training", () => { untrained = !untrained; set(before, "aria-pressed", untrained); draw(); }, { "aria-pressed": "false" });
  const sync = () => { add.disabled = points.length === MOST; drop.disabled = points.length === 1; draw(); };
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  const behind = choice("wave behind the points", Object.keys(waves).map((name) => [name, name]), wave, (to) => { wave = to; onWave(); draw(); });
  stage.append(make("p", {}, options.todo), bar(range("curves", 2, 30, count, (to) => { count = to; starts = draws(); draw(); }).node, range("pace of the starts", 1, 16, pace, (to) => { pace = to; starts = draws(); draw(); }).node, behind.node), svg, ...words,
    bar(add, drop, button("New starts", () => { seed += 1; starts = draws(); draw(); }), before));
  return (to) => {
    width = to;
    for (const [name, value] of Object.entries({ width, height: top + tall + 34, viewBox: `0 0 ${width} ${top + tall + 34}` })) set(svg, name, value);
    const level = (v) => make("line", { x1: left, x2: width - 12, y1: y(v), y2: y(v), stroke: "var(--line)" });
    axis.replaceChildren(make("text", { x: 0, y: 14 }, "thin: the curves; dashed: their mean"), make("text", { x: 0, y: 32 }, "shaded: mean ± 2σ; grey: the wave"),
      ...[-2, 0, 2].flatMap((v) => [level(v), make("text", { x: 0, y: y(v) + 4 }, show(v))]), ...[-4, -2, 0, 2, 4].map((v) => make("text", { x: x(v), y: top + tall + 30, "text-anchor": "middle" }, show(v))));
    sync();
  };
});
