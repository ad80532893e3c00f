// A puzzle of the book, to be solved in this page.
const SECONDS = 5; // for one call

start("puzzle", (stage, options) => {
  const { name, stub, answer } = options;
  const field = make("textarea", {
    class: "aaren-editor", spellcheck: "false", autocapitalize: "off", autocorrect: "off", autocomplete: "off", "data-lm-suppress-shortcuts": "true",
    "aria-label": `Your function ${name}, in JavaScript. Tab indents; Escape, then Tab leaves.`,
  });
  field.value = stub;
  // the reader's text, and a line before it that says whether it was right, stay in the browser, where that is allowed
  const key = `aaren-puzzle-${name}`, mark = make("span");
  try { [, mark.textContent, field.value] = localStorage[key].match(/(.*)\n([^]*)/); } catch {}
  const save = () => {
    const text = `${mark.textContent}\n${field.value}`;
    try { if (text === `\n${stub}`) delete localStorage[key]; else localStorage[key] = text; } catch {}
  };
  const verdict = make("pre", { class: "aaren-verdict", role: "status" });
  const check = button("Check", () => run()), again = button("Start again", () => {
    stop();
    tell(null, "");
    write(mark, "");
    put(stub, 0, field.value.length);
    save();
  });
  const shown = make("details", {}, make("summary", {}, "Show an answer"), make("pre", { class: "aaren-answer", tabindex: 0, "aria-label": "An answer" }, make("code", {}, answer)));
  const said = make("p", { class: "aaren-said", role: "status" }), board = make("div", { class: "aaren-after" });
  stage.append(
    make("p", {}, options.todo), field, make("div", { class: "aaren-bar" }, check, again, mark, make("small", {}, "Ctrl+Enter checks. Tab indents; Escape, then Tab leaves.")),
    verdict, said, board, shown,
  );

  // -- the editor
  const fit = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  };
  const put = (text, from = field.selectionStart, to = field.selectionEnd) => {
    field.focus();
    field.setSelectionRange(from, to);
    // this way the reader can undo it
    if (!document.execCommand("insertText", false, text)) field.setRangeText(text, from, to, "end");
    fit();
  };
  const before = () => field.value.slice(field.value.lastIndexOf("\n", field.selectionStart - 1) + 1, field.selectionStart);
  let leaves = false, writes = false;
  field.addEventListener("keydown", (event) => {
    event.stopPropagation(); // a notebook has keys of its own
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
    if (event.key === "Tab" && !leaves && !event.ctrlKey && !event.altKey) { event.preventDefault(); indent(event.shiftKey); }
    if (!/^(Tab|Shift)$/.test(event.key)) leaves = event.key === "Escape";
  });
  field.addEventListener("blur", () => { leaves = false; });
  const indent = (less) => {
    const { value, selectionStart: from, selectionEnd: to } = field;
    const first = value.lastIndexOf("\n", from - 1) + 1, lines = value.slice(first, to);
    if (!less && !value.slice(from, to).includes("\n")) return put("  ");
    const moved = lines.replace(/^ {0,2}/gm, (spaces) => less ? "" : `  ${spaces}`);
    put(moved, first, to);
    field.setSelectionRange(from === to ? Math.max(first, to + moved.length - lines.length) : first, first + moved.length);
  };
  field.addEventListener("beforeinput", (event) => { // from a phone's keyboard too, which tells no keys
    if (writes || !event.cancelable) return;
    const here = before(), type = (text, from) => { event.preventDefault(); writes = true; put(text, from); writes = false; };
    if (event.inputType === "insertLineBreak") type(`\n${here.match(/^ */)[0]}${/[{([]\s*$/.test(here) ? "  " : ""}`);
    if (event.inputType === "insertText" && event.data === "}" && /^ +$/.test(here)) type("}", field.selectionStart - 2);
  });
  field.addEventListener("input", () => { fit(); save(); });

  // -- what a puzzle draws of an answer: lines on a logarithmic axis, or merges; and a table. Once or more
  let figures = [];
  const draw = () => {
    write(said, figures.map((figure) => figure.said).join("\n"));
    board.replaceChildren(...figures.flatMap(drawn));
  };
  const drawn = (figure) => {
    const { head, rows, shapes } = figure;
    const row = ([name, ...cells], tag, scope) => make("tr", {}, make("th", { scope }, name), ...cells.map((cell) => make(tag, tag === "th" ? { scope: "col" } : {}, cell)));
    return [(shapes ? merges : losses)(figure), make("table", {}, make("thead", {}, row(head, "th", "col")), make("tbody", {}, ...rows.map((cells) => row(cells, "td", "row"))))];
  };
  const image = (label, width, height) => make("svg", { role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` });
  const losses = ({ label, lines, unit }) => {
    const width = stage.clientWidth, left = 46, top = 30, tall = 130, height = top + tall + 24;
    const good = (x) => x > 0 && x < Infinity, powers = lines.flatMap((line) => line.values).filter(good).map(Math.log10);
    const low = Math.floor(Math.min(...powers)), high = Math.max(low + 1, Math.ceil(Math.max(...powers))), last = lines[0].values.length - 1;
    const x = (i) => left + i / last * (width - left - 8), y = (power) => top + (high - power) / (high - low) * tall;
    const svg = image(label, width, height);
    for (let power = low; power <= high; power++) {
      svg.append(make("line", { x1: left, x2: width, y1: y(power), y2: y(power), stroke: "var(--line)" }), make("text", { x: left - 6, y: y(power) + 4, "text-anchor": "end" }, show(10 ** power)));
    }
    for (const i of [0, last / 2, last]) svg.append(make("text", { x: x(i), y: height - 4, "text-anchor": i === last ? "end" : i ? "middle" : "start" }, i ? i : `${unit} 0`));
    let from = left;
    lines.forEach(({ name, values }, i) => {
      const look = { fill: "none", ...(i ? { stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "5 4" } : { stroke: "var(--output)", "stroke-width": 5 }) };
      const bad = values.findIndex((x) => !good(x)), till = bad < 0 ? values.length : bad, at = (i) => `${x(i).toFixed(1)} ${y(Math.log10(values[i])).toFixed(1)}`;
      svg.append(make("path", { ...look, d: `M${values.slice(0, till).map((_, i) => at(i)).join("L")}`, "data-values": JSON.stringify(values) }));
      if (bad > 0) svg.append(make("path", { d: `M${at(bad - 1)}m-6 -6l12 12m0 -12l-12 12`, fill: "none", stroke: "var(--bad)", "stroke-width": 2.5 })); // here it ends
      svg.append(make("path", { ...look, d: `M${from} 10h24` }), make("text", { x: from + 30, y: 14 }, name));
      from += 52 + 7 * name.length;
    });
    return svg;
  };
  const merges = ({ label, shapes, height }) => { // an array as an attribute: in columns and pixels, from the left of the columns or, as a width, from 0
    const width = stage.clientWidth, left = width < 500 ? 50 : 64, wide = (width - left - 4) / 8, svg = image(label, width, height);
    const real = ([name, x]) => [name, Array.isArray(x) ? (name === "width" ? 0 : left) + x[0] * wide + x[1] : x];
    for (const [tag, looks, ...texts] of shapes) svg.append(make(tag, Object.fromEntries(Object.entries(looks).map(real)), texts.find((text) => 8 * text.length + 4 < wide) ?? texts.at(-1) ?? ""));
    return svg;
  };

  // -- the verdict
  const tell = (kind, text, after = null) => {
    set(verdict, "data-kind", kind);
    write(verdict, text);
    if (kind === "right") { write(mark, "✓ solved"); save(); }
    figures = after ? [after].flat() : [];
    draw();
  };
  let stop = () => {};
  const run = () => {
    stop();
    tell("running", "Trying …");
    const code = field.value;
    let worker, timer, where, found;
    const url = URL.createObjectURL(new Blob([program(options, code)], { type: "text/javascript" }));
    const end = stop = () => {
      clearTimeout(timer);
      if (worker) worker.terminate();
      URL.revokeObjectURL(url);
    };
    const close = ({ kind, text }, after) => { end(); tell(kind, text, after); verdict.scrollIntoView({ block: "nearest" }); };
    const none = () => close({ kind: "none", text: `${name}: this page may start no worker, where your code would run and could be stopped. Solve the puzzle in Colab or on your machine.` });
    const wait = () => {
      clearTimeout(timer);
      timer = setTimeout(() => close(found || endless(name, SECONDS, where)), 1000 * SECONDS);
    };
    const begin = (address, refused) => {
      try {
        worker = new Worker(address);
      } catch {
        return refused();
      }
      worker.onerror = (event) => {
        event.preventDefault();
        if (event.message) close(broken(name, event.message, event.lineno, code)); else refused();
      };
      worker.onmessage = ({ data }) => {
        if (data.where) where = data.where;
        if (data.verdict) found = data.verdict;
        if (data.done) close(found, data.after); else wait();
      };
    };
    wait();
    // VS Code lets workers be data, and not blobs
    begin(url, () => begin(`data:text/javascript,${encodeURIComponent(program(options, code))}`, none));
  };
  return () => { fit(); draw(); };
});
