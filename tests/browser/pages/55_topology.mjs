// The servers and what is between them.

import assert from "node:assert/strict";

export const pages = [
  {
    name: "topology",
    path: "/topology",
    ready: (page) => page.locator("svg.topology").waitFor(),
    unscripted: /Servers.*shop-1.*answers.*Links/s,
  },
];

const table = (page, name) => page.getByRole("region", { name, exact: true }).locator("tbody tr");

export const checks = {
  "picture and tables say the same": async (visit) => {
    const page = await visit.open("/topology");
    await page.locator("svg.topology").waitFor();
    const servers = await table(page, "Servers").locator("th").allInnerTexts();
    const drawn = await page.locator("svg.topology g text").allTextContents();
    assert.deepEqual(drawn.toSorted(), servers.toSorted());
    assert.ok(servers.includes("shop-1"), servers.join());
    const links = await table(page, "Links").locator("th").count();
    assert.equal(await page.locator("svg.topology line").count(), links);
    // Who does not see it is told as much.
    const told = await page.locator("svg.topology desc").textContent();
    for (const server of servers) assert.ok(told.includes(server), `${server}: ${told}`);
  },
};
