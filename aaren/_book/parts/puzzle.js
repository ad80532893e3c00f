// A puzzle of the book, to be solved in this page.
const SECONDS = 5; // for one call

start("puzzle", (stage, options) => {
  const { name, stub, answer } = options;
  const field = make("textarea", {
    class: "aaren-editor", spellcheck: "false", autocapitalize: "off", autocorrect: "off", autocomplete: "off", "data-lm-suppress-shortcuts": "true",
    "aria-label": `Your function ${name}, in JavaScript. Tab indents; Escape, then Tab leaves.`,
  });
  field.value = stub;
  const verdict = make("pre", { class: "aaren-verdict", role: "status" });
  const check = button("Check", () => run()), again = button("Start again", () => { stop(); tell(null, ""); put(stub, 0, field.value.length); field.focus(); });
  const shown = make("details", {}, make("summary", {}, "Show an answer"), make("pre", { class: "aaren-answer", tabindex: 0, "aria-label": "An answer" }, make("code", {}, answer)));
  stage.append(
    make("p", {}, options.todo), field, make("div", { class: "aaren-bar" }, check, again, make("small", {}, "Ctrl+Enter checks. Tab indents; Escape, then Tab leaves.")),
    verdict, shown,
  );

  // -- the editor
  const fit = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight + 4}px`; // with a bar to scroll by
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
  field.addEventListener("input", fit);

  // -- the verdict
  const tell = (kind, text) => {
    set(verdict, "data-kind", kind);
    write(verdict, text);
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
    const close = ({ kind, text }) => { end(); tell(kind, text); verdict.scrollIntoView({ block: "nearest" }); };
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
        if (data.done) close(found); else wait();
      };
    };
    wait();
    // VS Code lets workers be data, and not blobs
    begin(url, () => begin(`data:text/javascript,${encodeURIComponent(program(options, code))}`, none));
  };
  return fit;
});
