// Runs the checks of each file in pages/, on one node that all share.
//
// A file exports `pages`, what is shown at which path, and `checks`, a function for each sentence. What
// holds for every page (every.mjs) is checked of all in `pages`.

import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { open } from "./browser.mjs";
import { Checks } from "./checks.mjs";
import * as every from "./every.mjs";
import { Pictures } from "./pictures.mjs";
import { Site } from "./site.mjs";

const folder = resolve(dirname(fileURLToPath(import.meta.url)), "..");
const root = resolve(folder, "../..");

const { values: flags, positionals: words } = parseArgs({
  options: { leafbox: { type: "string" }, screenshots: { type: "string" } },
  allowPositionals: true,
});

// The newest of what cargo built here.
function built() {
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const found = ["debug", "release"].map((kind) => join(target, kind, "leafbox")).filter(existsSync);
  return found.sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs)[0];
}

async function run(checks) {
  const leafbox = flags.leafbox ?? process.env.LEAFBOX_BINARY ?? built();
  if (!leafbox || !existsSync(leafbox)) {
    return checks.broken(`there is no leafbox (${leafbox ?? "target/"}): run \`cargo build -p leafbox\` first`);
  }
  const browser = await open();
  const site = new Site(resolve(leafbox), join(folder, "node"), browser);
  // Whoever ends the run leaves no node behind.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => (site.end(), process.exit(1)));
  try {
    await site.start();
    const pictures = flags.screenshots && new Pictures(flags.screenshots);
    const files = readdirSync(join(folder, "pages")).filter((file) => file.endsWith(".mjs")).sort();
    for (const file of files.filter((file) => !words.length || words.some((word) => file.includes(word)))) {
      const { prepare, pages = [], checks: sentences = {} } = await import(join(folder, "pages", file));
      checks.page = file.replace(/^\d+_|\.mjs$/g, "");
      if (prepare) await checks.try("what its pages show is there", () => site.with(prepare));
      for (const page of pages) {
        for (const [what, check] of Object.entries(every.checks)) {
          await checks.try(`${page.path} ${what}`, () => site.with((visit) => check(visit, page, checks)));
        }
        if (pictures) await checks.try(`pictures of ${page.name}`, () => pictures.take(site, page));
      }
      for (const [what, check] of Object.entries(sentences)) {
        await checks.try(what, () => site.with((visit) => check(visit, checks)));
      }
    }
    await checks.try("the node stops in order", () => site.stop());
  } finally {
    site.end();
    await browser.close();
  }
}

const checks = new Checks();
await run(checks).catch((error) => checks.broken(error.stack));
process.exitCode = checks.summary();
