// The tester: messages by hand, and what others publish.

import assert from "node:assert/strict";

const LISTENS = "/publish?account=SHOP&subject=orders.%3E";

async function heard(page) {
  await page.getByText("Listening from here on").waitFor();
  const form = { account: "SHOP", subject: "orders.new", headers: "Till: 7", payload: '{"article":"coffee","cents":180}' };
  await page.request.post("/publish", { form, headers: { origin: new URL(page.url()).origin } });
  await page.locator("#heard").getByText("coffee").first().waitFor();
}

export const pages = [
  { name: "publish", path: "/publish", ready: (page) => page.getByRole("heading", { name: "Subscribe", exact: true }).waitFor(), unscripted: /Subject.*Payload/s },
  { name: "subscribe", path: `${LISTENS}#subscribe`, ready: heard, unscripted: /Subscribing needs a script/ },
];

export const checks = {
  "what may not be listened to is refused in words": async (visit) => {
    visit.allow(/the server responded with a status of 403/);
    const page = await visit.open("/publish?account=LEAFBOX&subject=$KV.leafbox_users.%3E");
    await page.getByText("holds secrets of leafbox").waitFor();
    assert.equal(visit.answer.status(), 403);
  },

  "who only looks listens to what the role may watch, and is offered no form to publish": async (visit) => {
    const page = await visit.open("/publish?account=SHOP&subject=$KV.PRICES.%3E", { as: "vic" });
    await page.getByText("Listening from here on").waitFor();
    assert.equal(await page.locator("form[method=post]").count(), 0);
    const put = { key: "cake", value: "310", revision: 0 };
    assert.equal((await visit.site.post(visit, "admin", "/kv/SHOP/PRICES/put", put)).status, 200);
    await page.locator("#heard").getByText("$KV.PRICES.cake").waitFor();
  },

  "a request shows its reply, and nobody there is told": async (visit) => {
    const page = await visit.open("/publish");
    await page.locator("#account").selectOption("LEAFBOX");
    await page.locator("#subject").fill("$SRV.PING.leafbox-sse-bridge");
    await page.getByLabel("Wait for a reply").check();
    await page.getByRole("button", { name: "Publish" }).click();
    await page.getByText("This is the reply").waitFor();
    await page.locator("#outcome").getByText("leafbox-sse-bridge").first().waitFor();
    await page.locator("#subject").fill("nobody.listens");
    await page.getByRole("button", { name: "Publish" }).click();
    await page.getByText("Nobody listens there").waitFor();
  },
};
