// A page as somebody meets it who has a keyboard alone.

import assert from "node:assert/strict";

const REACHABLE = "a[href], button, input, select, textarea, summary, [tabindex='0']";

// Looked at in the page: where the focus is, and whether it can be seen.
function look() {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  const { left, right, top, bottom } = at.getBoundingClientRect();
  // Of a large one the part in the window: browsers scroll to where one types.
  const [x, y] = [(Math.max(left, 0) + Math.min(right, innerWidth)) / 2, (Math.max(top, 0) + Math.min(bottom, innerHeight)) / 2];
  const hit = document.elementFromPoint(x, y);
  const known = (window.leafboxReached ??= []);
  const follows = !known.length || known.at(-1).compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING;
  const again = known.includes(at);
  known.push(at);
  return {
    html: at.outerHTML.slice(0, 160),
    again,
    follows: Boolean(follows),
    seen: Boolean(hit) && (at.contains(hit) || hit.contains(at)),
    outlined: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== "none",
  };
}

// The focus to where it is when a page was just opened, whatever was clicked since.
function begin() {
  document.body.tabIndex = -1;
  document.body.focus();
  document.body.removeAttribute("tabindex");
}

// What can be used and was not reached.
function missed(reachable) {
  const known = window.leafboxReached ?? [];
  const all = [...document.querySelectorAll(reachable)].filter(
    (one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0 && one.type !== "hidden",
  );
  // Of radio buttons that go together, one is reached.
  return all.filter((one) => one.type !== "radio" && !known.includes(one)).map((one) => one.outerHTML.slice(0, 160));
}

// Goes through the page by Tab. Pages but the login begin with a link that leads past the navigation.
export async function walk(page, { skips = true }) {
  await page.evaluate(begin);
  const stops = [];
  for (let count = 0; count < 400; count += 1) {
    await page.keyboard.press("Tab");
    // Where the focus goes is scrolled to with the next frame.
    await page.evaluate(() => new Promise(requestAnimationFrame));
    const stop = await page.evaluate(look);
    // After the last one the browser's own controls come, and then the first again.
    if (!stop || stop.again) break;
    stops.push(stop);
  }
  for (const stop of stops) {
    assert.ok(stop.follows, `not in the order of the page: ${stop.html}`);
    assert.ok(stop.seen, `focused out of sight: ${stop.html}`);
    assert.ok(stop.outlined, `the focus cannot be seen: ${stop.html}`);
  }
  assert.ok(stops.length > 0, "nothing can be reached");
  assert.deepEqual(await page.evaluate(missed, REACHABLE), [], "not reached");
  if (!skips) return;
  assert.match(stops[0].html, /class="skip"/, "the first stop leads past the navigation");
  await page.locator(".skip").focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
}
