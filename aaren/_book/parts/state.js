// Be the state: cards pass, H numbers may be kept, one key is asked for.
const KEYS = "ABCDEFGH";
const dice = (seed) => () => { // mulberry32: the same game for the same seed
  seed = (seed + 0x6D2B79F5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const dealt = (n, random) => {
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const cards = [...KEYS.slice(0, n)].map((key) => ({ key, value: Math.round(10 * normal()) / 10 }));
  for (let i = n - 1; i > 0; i--) { const j = Math.floor(random() * (i + 1)); [cards[i], cards[j]] = [cards[j], cards[i]]; }
  return { cards, asked: cards[Math.floor(random() * n)] };
};

start("state", (stage, options) => {
  const { n } = options;
  let { H } = options, random = dice(options.seed), game, at, slots, errors, ended, played, told = "";
  const { nodes: words, say } = voice();
  const card = make("div", { class: "aaren-card" });
  const keeps = make("div", { class: "aaren-bar" }), scores = make("div", { class: "aaren-scores" });
  const pass = button("Let it pass", () => next()), go = button("Next round", () => deal());
  const guess = make("input", { class: "aaren-field", type: "text", inputmode: "decimal", "aria-label": "your answer", placeholder: "a number", autocomplete: "off", size: 6 });
  const answer = button("Answer", () => reply(Number(guess.value.replace("−", "-").replace(",", ".") || NaN)));
  guess.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); answer.click(); } });

  const keep = (h) => { slots[h] = game.cards[at]; next(); };
  const next = () => { at += 1; draw(); };
  const deal = () => { if (played) errors = []; played = false; game = dealt(n, random); at = 0; slots = Array(H).fill(null); ended = false; told = ""; guess.value = ""; draw(); };
  const reply = (x) => {
    if (Number.isNaN(x)) return say("An answer is a number, such as 0.4.");
    const error = (x - game.asked.value) ** 2;
    errors.push(error);
    ended = true;
    told = `It was ${show(game.asked.value)}; you said ${show(x)}: squared error ${show(error, 3)}.`;
    draw();
    go.focus({ preventScroll: true });
  };
  // two rules to play by: one does not look at the values, the other does
  const RULES = {
    first: ["keep the first", (cards) => cards.slice(0, H), "This rule does not look at the values: in the long run it ends at the bound, and no rule that does not look can do better."],
    largest: ["keep the largest", (cards) => [...cards].sort((a, b) => b.value ** 2 - a.value ** 2).slice(0, H), "This rule looks at the values, which the bound leaves out: it keeps what would cost most. So it may fall below."],
  };
  const rules = Object.values(RULES).map(([name, held, why]) => button(`Play 200 rounds: ${name}`, () => {
    errors = Array.from({ length: 200 }, () => {
      const { cards, asked } = dealt(n, random);
      return held(cards).includes(asked) ? 0 : asked.value ** 2;
    });
    told = why;
    played = true;
    ended = true;
    draw();
  }));
  const heads = range("numbers you may keep, H", 1, n, H, (x) => { H = x; errors = []; deal(); });
  const buttons = Array.from({ length: n }, (_, h) => button("", () => at < n ? keep(h) : reply(slots[h] ? slots[h].value : 0)));
  const zero = button("0, the mean", () => reply(0));
  keeps.append(...buttons, pass, zero, guess, answer, go);

  const bars = [["you", "var(--output)"], ["a state that does not look at the values, at best", "var(--score)"], ["a cache of all cards", "var(--value)"]].map(([name, color]) => {
    const bar = make("span", { class: "aaren-length", style: `background:${color}` }), [who, holds] = [name, ""].map((text) => make("span", {}, text)), x = make("b", {});
    scores.append(make("div", { class: "aaren-score" }, who, holds, make("span", { class: "aaren-room" }, bar), x));
    return { bar, x, holds, who };
  });
  const draw = () => {
    const asking = at >= n && !ended, focused = keeps.contains(document.activeElement) && document.activeElement;
    card.replaceChildren(...(at < n && !ended
      ? [make("small", {}, `card ${at + 1} of ${n}`), make("b", {}, `key ${game.cards[at].key}`), make("span", {}, `value ${show(game.cards[at].value)}`)]
      : asking ? [make("small", {}, "the question"), make("b", {}, `key ${game.asked.key}`), make("span", {}, "value ?")] : played ? [make("small", {}, "played by the rule"), make("b", {}, `${errors.length} rounds`), make("span", {})]
        : [make("small", {}, "the round is over"), make("b", {}, `key ${game.asked.key}`), make("span", {}, `value ${show(game.asked.value)}`)]));
    write(bars[0].who, played ? "the rule" : "you");
    buttons.forEach((node, h) => {
      const held = slots[h] ? `${slots[h].key} ${show(slots[h].value)}` : "empty";
      node.hidden = h >= H || ended;
      write(node, asking ? `${held}` : `Keep as number ${h + 1} (now ${held})`);
      node.disabled = asking && !slots[h];
    });
    pass.hidden = asking || ended;
    zero.hidden = guess.hidden = answer.hidden = !asking;
    go.hidden = !ended;
    // else the keys of a reader go to the page
    if (focused && (focused.hidden || focused.disabled)) keeps.querySelector("button:not([hidden], :disabled)").focus({ preventScroll: true });
    const bound = 1 - H / n, rounds = errors.length, mean = rounds ? errors.reduce((a, b) => a + b) / rounds : NaN;
    [mean, bound, 0].forEach((x, i) => {
      if (i === 0 && !rounds) { write(bars[i].x, "–"); set(bars[i].x, "data-value", ""); } else number(bars[i].x, x, 3);
      bars[i].bar.style.width = `${clamp((x || 0) / 2, 0, 1) * 100}%`;
    });
    ["", H, 2 * n].forEach((x, i) => write(bars[i].holds, i ? `${x} number${x === 1 ? "" : "s"} kept` : `${rounds} round${rounds === 1 ? "" : "s"}`));
    say(ended ? `${told} Mean squared error so far: ${show(mean, 3)}, over ${rounds} round${rounds === 1 ? "" : "s"}; the bound is 1 − ${H}/${n} = ${show(bound, 3)}.`
      : asking ? `Which value had key ${game.asked.key}? Take a number that you kept, or say 0: values have mean 0 and variance 1.`
        : `Card ${at + 1}: key ${game.cards[at].key}, value ${show(game.cards[at].value)}. Keep it in place of another, or let it pass; it will not come back.`);
  };
  errors = [];
  const bar = (...nodes) => make("div", { class: "aaren-bar" }, ...nodes);
  stage.append(make("p", {}, options.todo), card, keeps, ...words, make("p", {}, "Mean squared error (less is better):"), scores, bar(heads.node, ...rules, button("Begin again", () => { random = dice(options.seed); errors = []; deal(); })));
  deal();
  return () => {};
});
