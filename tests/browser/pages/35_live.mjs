// One looks while another changes something.

import assert from "node:assert/strict";

const STREAM = "/streams/SHOP/BROWSER";
const LISTENS = "/publish?account=SHOP&subject=browser.%3E";

const publish = async (visit, payload) => {
  const { status } = await visit.site.post(visit, "admin", "/publish", { account: "SHOP", subject: "browser.live", payload });
  assert.equal(status, 200);
};

export const checks = {
  "a stream is made by its form, and the list of somebody else has it without a click": async (visit) => {
    const list = await visit.open("/streams", { as: "vic" });
    await list.getByRole("link", { name: "ORDERS" }).waitFor();
    const page = await visit.open("/streams/new");
    const form = page.locator("form").filter({ has: page.locator("#field-name") });
    await form.getByLabel("Account").selectOption("SHOP");
    await form.locator("#field-name").fill("BROWSER");
    await form.locator("#field-subjects").fill("browser.>");
    await form.getByRole("button", { name: /create|make|save/i }).first().click();
    await page.getByText("the stream BROWSER is made").waitFor();
    await list.getByRole("link", { name: "BROWSER" }).waitFor();
  },

  "what is published in one tab arrives in the stream's messages and in the tester of others": async (visit) => {
    const messages = await visit.open(`${STREAM}/messages`, { as: "vic" });
    const listening = await visit.open(LISTENS);
    const stream = await visit.open(STREAM, { as: "vic" });
    await listening.getByText("Listening from here on").waitFor();
    // By hand, in a page that listens as well: its own message arrives there, and it was not loaded again.
    const page = await visit.open(LISTENS);
    await page.getByText("Listening from here on").waitFor();
    await page.evaluate(() => (document.body.dataset.same = "page"));
    await page.locator("#account").selectOption("SHOP");
    await page.locator("#subject").fill("browser.live");
    await page.locator("#headers").fill("Till: 7");
    await page.locator("#payload").fill('{"article":"coffee"}');
    await page.getByRole("button", { name: "Publish" }).click();
    await page.locator("#outcome").getByText("It is published").waitFor();
    for (const [tab, rows] of [[page, "#heard"], [listening, "#heard"], [messages, "#messages"]]) {
      const row = tab.locator(`${rows} tr`).filter({ hasText: "browser.live" });
      await row.waitFor();
      await row.locator("summary").click();
      await row.getByText("Till").waitFor();
      assert.match(await row.locator("pre").innerText(), /"article": "coffee"/);
    }
    assert.equal(await page.locator("body").getAttribute("data-same"), "page");
    await stream.locator("#figures").getByText("1 to 1").waitFor();
  },

  "what is paused holds still, and the stream's messages miss nothing of it": async (visit) => {
    const page = await visit.open(`${STREAM}/messages`);
    const rows = page.locator("#messages tr");
    await rows.first().waitFor();
    const before = await rows.count();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#freshness").getByText("Paused").waitFor();
    const other = await visit.open(`${STREAM}/messages`);
    await publish(visit, "while paused");
    await other.locator("#messages").getByText("while paused").first().waitFor();
    assert.equal(await rows.count(), before);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.locator("#messages").getByText("while paused").first().waitFor();
    assert.equal(await rows.count(), before + 1);
  },

  "a subject with more messages than are shown keeps the newest, and no page grows": async (visit) => {
    const page = await visit.open(LISTENS);
    await page.getByText("Listening from here on").waitFor();
    for (let number = 1; number <= 120; number += 1) {
      const form = { account: "SHOP", subject: "browser.live", payload: `n${number}` };
      await page.request.post("/publish", { form, headers: { origin: visit.site.origin } });
    }
    await page.locator("#heard-state").getByText("120 messages came").waitFor();
    assert.equal(await page.locator("#heard > tr").count(), 100);
    assert.match(await page.locator("#heard > tr").first().innerText(), /n120/);
  },
};
