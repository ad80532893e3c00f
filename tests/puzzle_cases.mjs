// Reads {script, options, codes, seconds} as JSON from the standard input: the judge, a puzzle, and what readers might
// have written. Runs each as the page's worker would. Writes {known: the names of the known mistakes, verdicts}; a code
// that is {mistake: its name} stands for that mistake. A verdict has `after` if something is drawn below it.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const { script, options, codes, seconds } = JSON.parse(readFileSync(0, "utf8"));
const { name, answer } = options;
const { program, endless, broken } = new Function(`${script}; return { program, endless, broken };`)();
const mistakes = `(() => { ${options.mistakes}\nreturn mistakes; })()`;
const right = `(() => { ${answer}\nreturn ${name}; })()`;

const verdict = (given) => {
  const code = given.mistake ? `const ${name} = ${mistakes}(${right})[${JSON.stringify(given.mistake)}];` : given;
  let where, found, done, after;
  const postMessage = (data) => {
    structuredClone(data);
    where = data.where || where;
    found = data.verdict || found;
    ({ done, after } = data);
  };
  try {
    vm.runInNewContext(program(options, code), { postMessage }, { filename: "blob:null/1", timeout: 1000 * seconds });
  } catch (error) {
    if (error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return found || endless(name, 5, where);
    const [, line] = error.stack.match(/blob:null\/1:(\d+)/);
    return broken(name, `Uncaught ${error.name}: ${error.message}`, Number(line), code);
  }
  return done ? after ? { ...found, after } : found : null;
};

const { more, sweeps, drawing, kept, part, after, ...known } = new Function(`return ${mistakes}(() => {})`)();
process.stdout.write(JSON.stringify({ known: Object.keys(known), verdicts: codes.map(verdict) }));
