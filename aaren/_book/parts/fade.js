// Forgetting: a signal jumps from 0 to 1, or is one that was given, and the reader chooses how the past loses weight.
start("fade", (stage, options) => {
  const { length: T, jump, values } = options, scores = Array(T).fill(0), step = scores.map((_, i) => i + 1 >= jump ? 1 : 0);
  let { kept, fresh, window: W, read: k } = options, width = 0, signal = step, low = 0, high = 1;
  const { nodes: words, say } = voice();
  const tall = 90, left = 26, tops = [24, 24 + tall + 46], height = tops[1] + tall + 24;
  const x = (i) => left + (i + 0.5) / T * (width - left - 4), y = (v, top) => top + (1 - v) * tall, level = (v) => y((v - low) / (high - low), tops[1]);
  const brief = (v) => show(Number(v.toFixed(3)), 2);
  const path = (more) => make("path", { fill: "none", ...more });
  const parts = {
    bars: path({ stroke: "var(--score)" }), signal: path({ stroke: "currentColor", "stroke-width": 5, opacity: 0.35 }),
    output: path({ stroke: "var(--output)", "stroke-width": 2.5 }), now: make("line", { stroke: "currentColor", "stroke-dasharray": "2 4", y1: tops[0] - 4, y2: height - 20 }),
  };
  const axis = make("g", {}), svg = make("svg", { role: "img" });
  svg.append(axis, ...Object.values(parts));
  const told = (part, values, d) => { set(part, "d", d); set(part, "data-values", JSON.stringify(values)); };
  const trail = (list) => "M" + list.map((v, i) => `${x(i).toFixed(1)} ${level(v).toFixed(1)}`).join("L");

  const draw = () => {
    const how = { logDecay: Math.log(kept / 100), reset: scores.map((_, i) => i + 1 === fresh), window: W || null };
    const weights = prefixWeights(scores, k - 1, how), newest = weights[k - 1]; // all scores are equal: the newest has one vote
    const outputs = prefixAttention(scores, signal.map((v) => [v]), how).outputs.map(([o]) => o);
    const rest = weights.map((weight) => weight / newest);
    told(parts.bars, rest, rest.map((v, i) => `M${x(i).toFixed(1)} ${y(0, tops[0])}V${y(v, tops[0]).toFixed(1)}`).join(""));
    set(parts.bars, "stroke-width", Math.max(1, 0.7 * (width - left) / T));
    told(parts.signal, signal, trail(signal));
    told(parts.output, outputs, trail(outputs));
    for (const name of ["x1", "x2"]) set(parts.now, name, x(k - 1));
    const ones = outputs.findIndex((o, i) => i + 1 >= jump && o >= 0.9) + 2 - jump;
    const top = (list) => list.reduce((best, v, i) => v > list[best] ? i : best, 0), [peak, late] = [signal, outputs].map(top);
    say(`After token ${k}: ${show(1 / newest, 3)} votes, the newest has ${show(100 * newest, 2)} % of the weight, the output is ${brief(outputs[k - 1])}. `
      + (signal !== step ? `The signal's largest value is ${brief(signal[peak])}, at token ${peak + 1}; the output's is ${brief(outputs[late])}, at token ${late + 1}.`
        : ones > 0 ? `The jump is followed to 0.9 after ${ones} one${ones === 1 ? "" : "s"}.` : `After ${T + 1 - jump} ones the output has not come to 0.9.`));
    set(svg, "aria-label", `What is left of each token's votes after token ${k}, and the output beside the signal.`);
  };
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  const kinds = [["a step", step], [options.called, values]].map(([name, list]) => button(name, () => choose(list), { "aria-pressed": list === step }));
  const control = (name, low, high, value, change) => range(name, low, high, value, (to) => { change(to); draw(); }).node;
  stage.append(make("p", {}, options.todo), ...(values ? [bar("The signal:", ...kinds)] : []), svg, ...words,
    bar(control("kept at each token, %", 50, 100, kept, (to) => { kept = to; }), control("tokens read", 1, T, k, (to) => { k = to; })),
    bar(control("token that begins anew (0: none)", 0, T, fresh, (to) => { fresh = to; }), control("window (0: none)", 0, T, W, (to) => { W = to; })));
  const choose = (list) => {
    signal = list;
    low = Math.floor(Math.min(...list));
    high = Math.max(low + 1, Math.ceil(Math.max(...list)));
    kinds.forEach((node, i) => set(node, "aria-pressed", (list === step) === !i));
    lay();
  };
  const lay = () => {
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) set(svg, name, value);
    const names = ["what is left of each token's votes", "the signal (grey), and the output"];
    axis.replaceChildren(...tops.flatMap((top, i) => [make("text", { x: left, y: top - 10 }, names[i]),
      ...[0, 1].flatMap((v) => [make("line", { x1: left, x2: width, y1: y(v, top), y2: y(v, top), stroke: "var(--line)" }), make("text", { x: left - 8, y: y(v, top) + 4, "text-anchor": "end" }, show(i ? [low, high][v] : v))])]),
      ...[1, signal === step ? jump : Math.round(T / 2), T].map((t) => make("text", { x: x(t - 1), y: height - 4, "text-anchor": t === 1 ? "start" : t === T ? "end" : "middle" }, t === 1 ? "token 1" : t)));
    draw();
  };
  return (to) => {
    width = to;
    lay();
  };
});
