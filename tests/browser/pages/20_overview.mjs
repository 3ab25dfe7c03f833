// The overview: what the node's health daemon says, as it says it.

import assert from "node:assert/strict";

import { eventually } from "../harness/checks.mjs";

export const pages = [
  {
    name: "overview",
    path: "/",
    ready: (page) => page.locator("#overview .state[data-ok=true]").waitFor(),
    unscripted: /shop-1 is ready.*Data as of.*nats-server/s,
  },
];

const at = (page) => page.locator("#overview").getAttribute("data-at");
const freshness = (page, words) => page.locator("#freshness").getByText(words).waitFor();

async function next(page, before) {
  return eventually("a newer heartbeat", async () => {
    const now = await at(page);
    return now && now !== before && now;
  });
}

export const checks = {
  "heartbeats arrive without a click": async (visit) => {
    const page = await visit.open("/");
    let last = await at(page);
    for (let count = 0; count < 3; count += 1) last = await next(page, last);
    await freshness(page, "Live");
  },

  "what is paused stays, and goes on when it is resumed": async (visit) => {
    const page = await visit.open("/");
    const other = await visit.open("/");
    await next(page, await at(page));
    await page.getByRole("button", { name: "Pause" }).click();
    await freshness(page, "Paused");
    const held = await at(page);
    // Two more heartbeats elsewhere, none here.
    await next(other, await next(other, await at(other)));
    assert.equal(await at(page), held);
    await page.getByRole("button", { name: "Resume" }).click();
    await next(page, held);
    await freshness(page, "Live");
  },

  "without nats-server it says that it is stale, and goes on when that is back": async (visit) => {
    const page = await visit.open("/");
    const before = await next(page, await at(page));
    const { node } = visit.site;
    const killed = node.natsServer();
    // Stopped first: killed alone it would be back before anybody saw it gone.
    process.kill(killed, "SIGSTOP");
    try {
      await freshness(page, "Stale");
    } finally {
      process.kill(killed, "SIGKILL");
    }
    await eventually("the supervisor starts another", () => ![undefined, killed].includes(node.natsServer()));
    await next(page, before);
    await freshness(page, "Live");
  },
};
