// axe-core (MPL-2.0), on what a page shows at the moment.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// What it finds, as lines.
export async function violations(page) {
  // Through the debugger, which the page's policy does not bind.
  const session = await page.context().newCDPSession(page);
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(`axe: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  };
  if (!(await evaluate("!!window.axe"))) await evaluate(`${source}; 0`);
  const found = await evaluate(`
    axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => id + ": " + help + ": " + html.slice(0, 200) + " " + failureSummary)))`);
  await session.detach();
  return found;
}
