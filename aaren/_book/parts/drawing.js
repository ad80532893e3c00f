// The picture of what a scan merged of 8 tokens, in columns and pixels, drawn by puzzle.js: a row of boxes for each round,
// each box under its last token. It goes with the mistakes of the puzzles that merge items: others have no room for it.
const drawing = ({ args: [, op, , W], value, error }, book, right) => {
  const cut = (text) => text.length > 16 ? `${text.slice(0, 16)}…` : text || "E";
  const { made } = op, letters = book.args[0].join(""), deepest = (pieces) => Math.max(...pieces.map(({ chain }) => chain));
  if (!made.length) return null;
  const boxes = [...letters].map((text, x) => ({ x, row: 0, level: 0, text, run: true })), levels = {}, alike = {}, home = new Map();
  for (const piece of made) {
    const { left, right, text, chain: row } = piece, key = [row, left, right].join();
    if (!alike[key]) {
      if (boxes.length > 99 || row > 15) continue;
      const x = Math.max(0, ...[...text].map((sign) => letters.indexOf(sign))), level = levels[[row, x]] = (levels[[row, x]] ?? -1) + 1;
      const run = letters.includes(text);
      boxes.push(alike[key] = { x, row, level, text: cut(text), run, mark: run ? left.text && right.text ? "" : "idle" : "wrong", count: 0, from: [left, right] });
    }
    alike[key].count += 1;
    home.set(piece, alike[key]);
  }
  const merged = boxes.slice(letters.length), last = deepest([...home.keys()]), given = Array.isArray(value) ? value : [];
  const found = (piece) => home.get(piece) || boxes.find(({ row, text }) => !row && text === piece?.text);
  right.forEach(({ text: wanted }, x) => {
    const { text } = given[x] ?? {}, missing = typeof text !== "string", mark = missing ? "missing" : text === wanted ? "right" : "wrong";
    boxes.push({ x, row: last + 1, level: 0, text: missing ? "none" : cut(text), run: letters.includes(text), mark, from: [given[x]] });
  });
  const outputs = boxes.slice(-right.length), fails = outputs.some(({ mark }) => mark !== "right");
  if (fails) right.forEach(({ text }, x) => boxes.push({ x, row: last + 2, level: 0, text, run: true, mark: "plain" }));

  // -- in pixels, from top to bottom
  const names = [], tops = [];
  let y = 14;
  for (let row = 0; row <= last + 1 + fails; row++) {
    names.push([y, row === 0 ? "tokens" : row <= last ? `round ${row}` : row === last + 1 ? "returns" : "right"]);
    tops.push(y);
    y += row > last ? 28 : 14 + 30 * (1 + Math.max(0, ...boxes.filter((box) => box.row === row).map(({ level }) => level)));
  }
  for (const box of boxes) box.y = tops[box.row] + 30 * box.level;
  const shapes = [], bad = (mark) => /wrong|missing/.test(mark), colour = (mark) => bad(mark) ? "var(--bad)" : mark === "right" ? "var(--value)" : "currentColor";
  for (const { x, y, row, mark, from = [] } of boxes) {
    for (const start of from.map(found).filter(Boolean)) shapes.push(["line", { x1: [start.x + 0.5, 0], y1: start.y + 11, x2: [x + 0.5, 0], y2: y - 11, stroke: row > last ? "currentColor" : colour(mark), opacity: 0.6, ...(row > last && { "stroke-dasharray": "3 3" }) }]);
  }
  for (const [y, name] of names) shapes.push(["text", { x: 0, y: y + 4 }, name]);
  for (const { x, y, text, run, mark = "", count } of boxes) {
    if (mark !== "plain") shapes.push(["rect", { x: [x, 2], y: y - 11, width: [1, -4], height: 22, rx: 5, fill: "var(--ground)", stroke: colour(mark), "stroke-width": bad(mark) || mark === "right" ? 2 : 1, ...(/idle|missing/.test(mark) && { "stroke-dasharray": "4 3" }), "data-mark": mark, "data-text": text }]);
    const cuts = run || text === "none" ? [text, `${text[0]}…${text.at(-1)}`] : [text, ...[7, 5, 3].map((most) => `${text.slice(0, most)}…`)];
    shapes.push(["text", { x: [x + 0.5, 0], y: y + 4, "text-anchor": "middle" }, ...(text.length < 5 ? [text] : cuts)]);
    const halo = { stroke: "var(--ground)", "stroke-width": 5, "paint-order": "stroke" };
    for (const look of bad(mark) ? [halo, { stroke: "var(--bad)", "stroke-width": 2.5 }] : []) {
      for (const side of [0, 8]) shapes.push(["line", { x1: [x + 1, -10], y1: y - 15 + side, x2: [x + 1, -2], y2: y - 7 - side, ...look }]);
    }
    if (count > 1) shapes.push(["text", { x: [x + 1, 0], y: y + 16, "text-anchor": "end", ...halo }, `×${count}`]);
  }

  // -- in words
  const wrong = merged.filter(({ run }) => !run).sort((one, other) => one.row - other.row), times = (list) => list.reduce((all, { count }) => all + count, 0), more = made.length - times(merged);
  const which = (kind) => outputs.flatMap(({ mark }, k) => mark === kind ? [k + 1] : []).join(", ");
  const said = [`Your merges on 8 tokens${W ? `, W = ${W}` : ""}, each in the first round that can make it.`];
  if (error) said.push("On these it failed; this is what it had merged.");
  if (wrong.length) said.push(`Merges that make no run of the tokens in order (✗): ${times(wrong)} of ${made.length}; the first: op(${wrong[0].from.map(({ text }) => text ? `'${cut(text)}'` : "E").join(", ")}), in round ${wrong[0].row}.`);
  else said.push("Each merge makes a run of the tokens in order.");
  if (which("wrong")) said.push(`Outputs that are not right (✗): ${which("wrong")}.`);
  if (which("missing")) said.push(`Outputs that are missing: ${which("missing")}.`);
  if (!fails) said.push("All 8 outputs are right.");
  if (given.length > 8) said.push(`Outputs too many: ${given.length - 8}.`);
  if (merged.some(({ count }) => count > 1)) said.push("×: so many times the same merge.");
  if (merged.some(({ mark }) => mark === "idle")) said.push("Dashed: a merge with the identity, E.");
  if (more) said.push(`Not drawn: ${more} more.`);
  const note = { wrong: ", wrong", missing: "" }, rounds = names.slice(1, last + 1).map(([, name], r) => `${name}: ${merged.filter(({ row }) => row === r + 1).map(({ from, count, mark }) => `${from.map(({ text }) => cut(text)).join(" with ")}${note[mark] ?? ""}${count > 1 ? `, ${count} times` : ""}`).join("; ")}`);
  const label = `${[...rounds, `returned: ${outputs.map(({ text, mark }) => text + (note[mark] ?? "")).join("; ")}`].join(". ")}.`;
  return {
    said: said.join(" "), label: `What was merged: ${label}`, height: y - 8, shapes,
    head: ["8 tokens", "merges", "rounds"], rows: [["yours", made], ["the book's own", book.args[1].made]].map(([name, all]) => [name, all.length, deepest(all)]),
  };
};
