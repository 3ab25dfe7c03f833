// Who only looks changes nothing: no page has a form for it, and the server refuses each request.

import assert from "node:assert/strict";

import { eventually } from "../harness/checks.mjs";

const ORDERS = "/streams/SHOP/ORDERS";
const PRICES = "/kv/SHOP/PRICES";

export async function prepare(visit) {
  const { status } = await visit.site.post(visit, "admin", `${PRICES}/put`, { key: "biscuit", value: "90", revision: 0 });
  assert.equal(status, 200);
}

// Of a connection that is there.
async function connection(visit) {
  const page = await visit.open("/connections", { as: "vic" });
  const link = page.locator("#connections tbody th a").first();
  await link.waitFor();
  return link.getAttribute("href");
}

export const checks = {
  "no page that a viewer sees has a form that changes something": async (visit) => {
    const paths = ["/", "/streams", ORDERS, `${ORDERS}/messages`, "/kv", PRICES, `${PRICES}/keys/biscuit`, "/objects", "/objects/SHOP/LEAFLETS", "/publish", "/connections", await connection(visit), "/topology", "/events"];
    for (const path of paths) {
      const page = await visit.open(path, { as: "vic" });
      assert.equal(visit.answer.status(), 200, path);
      assert.equal(await page.locator("form[method=post]").count(), 0, path);
    }
  },

  "each request that changes something is refused, with the role that it takes": async (visit) => {
    const key = { key: "biscuit", value: "1", revision: 0, confirm: "biscuit" };
    const asked = [
      ["/publish", { account: "SHOP", subject: "orders.new", payload: "forged" }],
      [`${ORDERS}/purge`, { confirm: "ORDERS" }],
      [`${ORDERS}/delete`, { confirm: "ORDERS" }],
      [`${ORDERS}/messages/1/delete`, { confirm: "1" }],
      [`${ORDERS}/edit`, { json: "{}" }],
      [`${ORDERS}/new-consumer`, { json: "{}" }],
      ["/streams/new", { account: "SHOP", "/name": "FORGED" }],
      [`${PRICES}/put`, key],
      [`${PRICES}/delete`, key],
      [`${PRICES}/purge`, key],
      ["/objects/SHOP/LEAFLETS/delete", { name: "leaflet", confirm: "leaflet" }],
      ["/objects/SHOP/LEAFLETS/upload", { name: "leaflet" }],
      [`${await connection(visit)}/kick`, { confirm: "1" }],
    ];
    const page = await visit.open("/streams", { as: "vic" });
    for (const [path, form] of asked) {
      // As a script on the page would, with the session's cookie.
      const { status, text } = await page.evaluate(async ([path, form]) => {
        const answer = await fetch(path, { method: "POST", body: new URLSearchParams(form) });
        return { status: answer.status, text: await answer.text() };
      }, [path, form]);
      assert.equal(status, 403, `${path}: ${text}`);
      assert.match(text, /takes the role (operator|admin), and you are viewer/, path);
    }
    visit.allow(/the server responded with a status of 403/);
    await eventually("the list is there", () => page.getByRole("link", { name: "ORDERS" }).isVisible());
    assert.equal(await page.getByText("FORGED").count(), 0);
  },
};
