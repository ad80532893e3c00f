// Reads {groups, calls} as JSON from the standard input, computes them with the engine, writes the results as JSON.
import { readFileSync } from "node:fs";
import * as engine from "../aaren/engine.mjs";

const floats = (text) => {
  const bytes = Buffer.from(text, "base64");
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
};
const rows = (flat, size) => Array.from({ length: flat.length / size }, (_, i) => flat.subarray(i * size, (i + 1) * size));

function attend({ time, dim, window, precision, ...arrays }) {
  const [scores, logDecay, reset, values] = ["scores", "logDecay", "reset", "values"].map((name) => floats(arrays[name]));
  const outputs = rows(scores, time).map((s, i) => {
    const at = (flat) => rows(flat, time)[i];
    const options = { logDecay: at(logDecay), reset: at(reset), window, precision };
    return engine.prefixAttention(s, rows(rows(values, time * dim)[i], dim), options).outputs.flat();
  });
  return Buffer.from(new Float64Array(outputs.flat()).buffer).toString("base64");
}

// numbers that JSON does not have are written as their names
const plain = (_, x) => (typeof x === "number" && !Number.isFinite(x) ? String(x) : x);
const special = (_, x) => (["NaN", "Infinity", "-Infinity"].includes(x) ? Number(x) : x);
const call = ([name, ...inputs]) => {
  try {
    return engine[name](...inputs);
  } catch (error) {
    return String(error);
  }
};

const { groups = [], calls = [] } = JSON.parse(readFileSync(0, "utf8"), special);
process.stdout.write(JSON.stringify({ groups: groups.map(attend), calls: calls.map(call) }, plain));
