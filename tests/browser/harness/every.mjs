// What holds for every page.

import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";

import { violations } from "./axe.mjs";
import { walk } from "./keyboard.mjs";

const MOST_BYTES = 60_000;

async function opened(visit, { path, as, ready }, options) {
  const page = await visit.open(path, { as, ...options });
  await ready(page);
  return page;
}

const overflow = (page) =>
  page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return "";
    const wide = [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > clientWidth + 1);
    return `${scrollWidth} px wide: ${wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 120)).join("\n")}`;
  });

// What of a page's HTML is a style, a script or a handler in itself.
function inline(html) {
  const all = [...new DOMParser().parseFromString(html, "text/html").querySelectorAll("*")];
  const runs = ({ name, value }) => name === "style" || name.startsWith("on") || /^\s*javascript:/i.test(value);
  const is = (one) => one.matches("style, script:not([src])") || [...one.attributes].some(runs);
  return all.filter(is).map((one) => one.outerHTML.slice(0, 160));
}

export const checks = {
  "axe finds nothing, wide and narrow, light and dark": async (visit, page) => {
    const shown = await opened(visit, page);
    const found = [];
    for (const colorScheme of ["light", "dark"]) {
      for (const [width, height] of [[1280, 800], [390, 844]]) {
        await shown.emulateMedia({ colorScheme });
        await shown.setViewportSize({ width, height });
        found.push(...(await violations(shown)).map((violation) => `${colorScheme}, ${width} px: ${violation}`));
      }
    }
    assert.deepEqual(found, []);
  },

  "nothing is cut off at 320 px, and with letters twice as large": async (visit, page) => {
    const shown = await opened(visit, page, { size: [320, 640] });
    assert.equal(await overflow(shown), "", "at 320 px");
    await shown.setViewportSize({ width: 1280, height: 800 });
    // Through the object model, which the policy of styles lets pass.
    await shown.evaluate(() => (document.documentElement.style.fontSize = "200%"));
    assert.equal(await overflow(shown), "", "at 200%");
  },

  "by keyboard everything is reached, in order, and seen": async (visit, page) => {
    await walk(await opened(visit, page), page);
  },

  "without a script it says what matters": async (visit, page) => {
    const shown = await visit.open(page.path, { as: page.as, script: false });
    assert.match(await shown.locator("main").innerText(), page.unscripted);
  },

  "its first load is small, and nothing of it is inline": async (visit, page, checks) => {
    const loaded = [];
    const shown = await visit.open(null, { as: page.as });
    shown.on("response", (response) => loaded.push(response));
    const answer = await shown.goto(page.path);
    await page.ready(shown);
    assert.deepEqual(await shown.evaluate(inline, await answer.text()), []);
    let bytes = 0;
    for (const response of loaded.filter((one) => ["script", "stylesheet"].includes(one.request().resourceType()))) {
      bytes += gzipSync(await response.body()).length;
    }
    assert.ok(bytes > 0 && bytes < MOST_BYTES, `${bytes} bytes of script and style, gzipped`);
    checks.figure(`${page.name}: script and style, gzipped`, `${(bytes / 1000).toFixed(1)} kB`);
  },
};
