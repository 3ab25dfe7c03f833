// Streams: what the node stores, looked at and destroyed.

import assert from "node:assert/strict";

const ORDERS = "/streams/SHOP/ORDERS";
const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();

export const pages = [
  { name: "streams", path: "/streams", ready: heading("Streams"), unscripted: /ORDERS\s+SHOP.*declared/s },
  { name: "stream", path: ORDERS, ready: heading("ORDERS"), unscripted: /every sale.*Purge messages/s },
  {
    name: "new-stream",
    path: "/streams/new?account=SHOP",
    ready: (page) => page.getByLabel("name", { exact: false }).first().waitFor(),
    unscripted: /name/i,
  },
  {
    name: "messages",
    path: "/streams/LEAFBOX/KV_leafbox_nodes/messages",
    ready: (page) => page.getByText("$KV.leafbox_nodes.shop-1").first().waitFor(),
    unscripted: /leafbox_nodes\.shop-1/,
  },
];

export const checks = {
  "what is published by hand is stored, and its message is shown": async (visit) => {
    const page = await visit.open("/publish", { script: false });
    await page.locator("#account").selectOption("SHOP");
    await page.locator("#subject").fill("orders.browser");
    await page.locator("#payload").fill('{"article":"coffee","cents":180}');
    await page.getByRole("button", { name: "Publish" }).click();
    await page.locator(".message:not(.bad)").waitFor();
    await page.goto(`${ORDERS}/messages`);
    await page.getByText("orders.browser").first().waitFor();
  },

  "who only looks is offered nothing that changes, and the server refuses it": async (visit) => {
    const page = await visit.open(ORDERS, { as: "vic" });
    await heading("ORDERS")(page);
    assert.equal(await page.locator("form[method=post]").count(), 0);
    const { status, text } = await visit.site.post(visit, "vic", `${ORDERS}/purge`, { confirm: "ORDERS" });
    assert.equal(status, 403);
    assert.match(text, /operator/);
  },

  "a purge needs the name, which the server checks": async (visit) => {
    const refused = await visit.site.post(visit, "admin", `${ORDERS}/purge`, { confirm: "orders" });
    assert.equal(refused.status, 422);
    // By hand, without a script.
    const page = await visit.open(ORDERS, { script: false });
    await page.getByText("Purge messages").click();
    await page.getByLabel("to confirm").first().fill("ORDERS");
    await page.getByRole("button", { name: "Purge" }).click();
    await page.locator(".message:not(.bad)").waitFor();
  },

  "users, sessions and registry secrets are shown to nobody": async (visit) => {
    visit.allow(/the server responded with a status of 40[34]/);
    for (const path of ["/streams/LEAFBOX/KV_leafbox_users/messages", "/kv/LEAFBOX/leafbox_users", "/kv/LEAFBOX/leafbox_registry"]) {
      await visit.open(path);
      assert.ok([403, 404].includes(visit.answer.status()), `${path}: ${visit.answer.status()}`);
      assert.doesNotMatch(await visit.answer.text(), /user\.admin|passkey\.|session\./);
    }
  },
};
