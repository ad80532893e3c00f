// Reads streams as JSON from the standard input, runs each with the engine, writes answers and states as JSON.
import { readFileSync } from "node:fs";
import { loadStream } from "../aaren/engine.mjs";

const plain = (_, x) => (typeof x === "number" && !Number.isFinite(x) ? String(x) : x);
const special = (_, x) => (["NaN", "Infinity", "-Infinity"].includes(x) ? Number(x) : x);

function scramble(parts) {
  Object.values(parts).forEach((part) => (Array.isArray(part[0]) ? scramble(part) : Array.isArray(part) && part.fill(NaN)));
}

function stream({ document, x, draws, again = false, state }) {
  let next = 0;
  try {
    const loaded = loadStream(document, draws ? { random: () => draws[next++ % draws.length] } : {});
    if (state) loaded.state = state;
    let answers = x.map((token) => loaded.step(token));
    if (again) {
      loaded.reset();
      answers = x.map((token) => loaded.step(token));
    }
    const kept = loaded.state;
    const copy = loadStream(document);
    copy.state = kept;
    const shown = JSON.parse(JSON.stringify(kept, plain));
    kept.forEach(scramble); // a state that was given away or taken is a copy
    return { answers, state: shown, next: draws ? [] : [loaded.step(x[0]), copy.step(x[0])] };
  } catch (error) {
    return String(error);
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8"), special).map(stream), plain));
