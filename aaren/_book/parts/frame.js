// What every component shares: elements, numbers as text, handles, links, one start for each root.
const make = (tag, attributes = {}, ...children) => {
  const space = /^(svg|g|path|rect|circle|line|text)$/.test(tag) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const node = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children);
  // else JupyterLab takes the keys
  if (/^(input|select|button|summary)$/.test(tag) || "tabindex" in attributes) set(node, "data-lm-suppress-shortcuts", "true");
  return node;
};
const set = (node, name, value) => value === null ? node.removeAttribute(name) : node.getAttribute(name) !== String(value) && node.setAttribute(name, value);
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// A few digits, and a true minus sign.
const show = (x, digits = 4) => {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  const size = Math.abs(x);
  const text = size && (size >= 1e5 || size < 1e-3) ? x.toExponential(digits - 2).replace("+", "") : String(Number(x.toPrecision(digits)));
  return text.replaceAll("-", "−");
};
const number = (node, x, digits) => {
  write(node, show(x, digits));
  set(node, "data-value", x);
  node.classList.toggle("aaren-bad", !Number.isFinite(x) && x !== -Infinity);
};

const button = (text, click, attributes = {}) => {
  const node = make("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", click);
  return node;
};
const choice = (name, options, value, change) => {
  const list = make("select", { autocomplete: "off" }, ...options.map(([key, text]) => make("option", { value: key, ...(key === value && { selected: "" }) }, text)));
  list.addEventListener("input", () => change(list.value));
  return { node: make("label", {}, make("span", {}, name), list), list };
};
const range = (name, low, high, value, change) => {
  const input = make("input", { type: "range", min: low, max: high, step: 1, value, autocomplete: "off" });
  const out = make("span", { class: "aaren-value", "aria-hidden": "true" }, String(value));
  const told = () => { write(out, input.value); };
  input.addEventListener("input", () => { told(); change(Number(input.value)); });
  return { node: make("label", {}, make("span", {}, name), input, out), input, told };
};

// A pointer takes hold of a node, and moves it until it lets go.
const drag = (node, grab, move) => {
  let held = false;
  node.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    held = true;
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
    grab(event);
  });
  node.addEventListener("pointermove", (event) => held && move(event));
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { held = false; });
};

// A thing to drag: a slider for the keyboard and for a screen reader.
const handle = (node, { low, high, step, get, put, at, chosen }) => {
  set(node, "role", "slider");
  set(node, "tabindex", 0);
  set(node, "data-lm-suppress-shortcuts", "true");
  set(node, "aria-valuemin", low);
  set(node, "aria-valuemax", high);
  const to = (x) => put(clamp(Math.round(x / step) * step, low, high));
  node.addEventListener("focus", chosen);
  node.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 };
    if (event.key in moves) to(clamp(get(), low, high) + moves[event.key] * step);
    else if (event.key === "Home") put(low);
    else if (event.key === "End") put(high);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  drag(node, () => node.focus({ preventScroll: true }), (event) => to(at(event)));
};

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// The words below the picture; a screen reader hears them once they stay, and once the component is used.
const voice = () => {
  const seen = make("p", { class: "aaren-words" }), heard = make("p", { class: "aaren-heard", role: "status" });
  let timer, used = false;
  const say = (text) => {
    if (seen.textContent === text) return;
    if (!seen.textContent) for (const type of ["keydown", "pointerdown", "click"]) seen.parentNode.addEventListener(type, () => { used = true; }, { capture: true, once: true });
    seen.textContent = text;
    clearTimeout(timer);
    timer = setTimeout(() => { if (used) heard.textContent = text; }, 400);
  };
  return { nodes: [seen, heard], say };
};

// Point at, focus or tap a part: whatever carries the same name lights up.
const link = (root) => {
  const light = (part) => {
    for (const node of root.querySelectorAll("[data-part]")) node.classList.toggle("aaren-lit", node.dataset.part === part);
  };
  const hear = (event) => {
    const node = event.target.closest("[data-part]");
    if (node || event.type === "pointerover") light(node ? node.dataset.part : root.dataset.held);
    if (event.type !== "pointerover" && node) root.dataset.held = node.dataset.part;
  };
  for (const type of ["pointerover", "focusin", "click"]) root.addEventListener(type, hear);
  root.addEventListener("pointerleave", () => light(root.dataset.held));
};

// Is the page dark? Its text tells, in every front end.
const follow = (root) => {
  const look = () => {
    const [r, g, b] = getComputedStyle(root.parentElement).color.match(/[\d.]+/g).map(Number);
    root.classList.toggle("aaren-dark", 0.3 * r + 0.6 * g + 0.1 * b > 140);
  };
  look();
  const watch = new MutationObserver(look);
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look);
};

const start = (kind, build) => {
  for (const root of document.querySelectorAll(`.aaren-live[data-component="${kind}"]`)) {
    if (root.aarenStarted) continue;
    root.aarenStarted = true;
    const stage = make("div", { class: "aaren-stage" });
    root.querySelector(".aaren-picture").replaceWith(stage);
    follow(root);
    const layout = build(stage, JSON.parse(root.querySelector("script.aaren-options").textContent));
    let width = 0;
    const fit = () => {
      const now = Math.floor(stage.clientWidth);
      if (now && now !== width) layout(width = now);
    };
    fit();
    new ResizeObserver(fit).observe(stage);
  }
};
