// Keys and values, looked at while they change.

import assert from "node:assert/strict";

const PRICES = "/kv/SHOP/PRICES";
const put = (visit, as, key, value, revision = 0) => visit.site.post(visit, as, `${PRICES}/put`, { key, value, revision });
const row = (page, key) => page.getByRole("row", { name: key });

export async function prepare(visit) {
  const prices = { coffee: '{"cents":180,"unit":"cup"}', tea: '{"cents":150,"unit":"cup"}', "bread.rye": "390" };
  for (const [key, value] of Object.entries(prices)) assert.equal((await put(visit, "admin", key, value)).status, 200);
}

export const pages = [
  { name: "buckets", path: "/kv", ready: (page) => page.getByRole("link", { name: "PRICES" }).waitFor(), unscripted: /PRICES/ },
  { name: "bucket", path: PRICES, ready: (page) => row(page, "coffee").waitFor(), unscripted: /coffee.*tea/s },
  { name: "key", path: `${PRICES}/keys/coffee`, ready: (page) => page.getByRole("heading", { name: "History" }).waitFor(), unscripted: /180/ },
];

export const checks = {
  "what somebody else stores is there without a click": async (visit) => {
    const page = await visit.open(PRICES, { as: "vic" });
    await row(page, "coffee").waitFor();
    assert.equal((await put(visit, "admin", "milk", "120")).status, 200);
    await row(page, "milk").getByText("120").waitFor();
    const keys = await page.locator("tbody th").allInnerTexts();
    assert.deepEqual(keys, keys.toSorted(), "in its place");
  },

  "a key is made, changed and deleted by forms alone": async (visit) => {
    const page = await visit.open(PRICES, { script: false });
    await page.getByRole("textbox", { name: "Key", exact: true }).fill("butter");
    await page.getByLabel("Value").fill("one\ntwo");
    await page.getByRole("button", { name: "Create" }).click();
    await page.locator(".message:not(.bad)").waitFor();
    await page.goto(`${PRICES}/keys/butter`);
    assert.equal(await page.locator("#value").inputValue(), "one\ntwo");
    await page.getByText("Delete the key").click();
    await page.getByLabel("to confirm").first().fill("butter");
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await page.locator(".message:not(.bad)").waitFor();
  },

  "who changes what somebody else changed meanwhile is told, and keeps what was typed": async (visit) => {
    visit.allow(/the server responded with a status of 4/);
    const page = await visit.open(`${PRICES}/keys/tea`);
    const revision = await page.locator("form[action$=put] input[name=revision]").inputValue();
    assert.equal((await put(visit, "admin", "tea", "155", revision)).status, 200);
    await page.locator("#value").fill("160");
    await page.getByRole("button", { name: "Store" }).click();
    await page.locator(".field-error").waitFor();
    assert.equal((await page.locator("#value").inputValue()).trim(), "160");
  },

  "who only looks cannot store": async (visit) => {
    const { status } = await put(visit, "vic", "coffee", "1");
    assert.equal(status, 403);
  },
};
