// What a scan merged of 8 letters, a line for each round: whatever could be done at once stands side by side. It goes
// with the mistakes of the puzzles that have `drawn`, since others have no room for it.
const drawing = ({ args, error }) => {
  const row = (items, between, before = "") => [...items.slice(0, 8), ...(items.length > 8 ? [`${before}and ${items.length - 8} more`] : [])].join(between);
  const letters = (text) => text.length > 8 ? `${text.slice(0, 8)}…` : text || "E";
  const found = error ? [] : Object.entries(args[1].rounds);
  const lines = found.map(([number, pairs]) => `  round ${number}: ${row(pairs.map((pair) => pair.map(letters).join("·")), "  ")}`);
  const spared = found.some(([, pairs]) => pairs.some((pair) => pair.includes("")));
  return lines.length ? `\nYour merges on 8 letters, each in the first round that can make it${spared ? " (E: the identity)" : ""}:\n${row(lines, "\n", "  ")}` : "";
};
