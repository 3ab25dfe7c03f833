// Accounts and leaves: users are minted and revoked, and a box is let in.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SHOP = "/accounts/SHOP";
const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();
const button = (page, name) => page.getByRole("button", { name });

export const pages = [
  { name: "accounts", path: "/accounts", ready: heading("Accounts"), unscripted: /LEAFBOX.*SHOP.*declared in fleet\.toml/s },
  { name: "account", path: SHOP, ready: (page) => button(page, "Mint and download").waitFor(), unscripted: /Revoke a user.*till.*orders\.>/s },
  { name: "leaves", path: "/leaves", ready: (page) => button(page, "Look at it").waitFor(), unscripted: /shop-1.*van-1.*Request of the box/s },
];

// What the box does, which has a folder of its own for its keys and its data.
const box = (visit, ...words) =>
  visit.site.node.command("-c", "van.toml", "--data", "van", "enroll", ...words, "--keys", "van-keys");

// Clicks, and gives the file that is downloaded.
async function downloaded(page, name, file) {
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, name).click()]);
  assert.equal(download.suggestedFilename(), file);
  return readFileSync(await download.path(), "utf8");
}

export const checks = {
  "a user is minted with a download that the page does not have, with a script and without": async (visit) => {
    for (const [script, name] of [[true, "till-7"], [false, "till-8"]]) {
      const page = await visit.open(SHOP, { script });
      await page.getByLabel("Role", { exact: true }).selectOption("till");
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Good for").fill("1h");
      const creds = await downloaded(page, "Mint and download", `SHOP-${name}.creds`);
      assert.match(creds, /BEGIN NATS USER JWT.*BEGIN USER NKEY SEED/s);
      const seed = creds.match(/^SU[A-Z2-7]+$/m)[0];
      assert.ok(!(await page.content()).includes(seed) && !visit.site.node.log().includes(seed));
    }
  },

  "what is wrong with a user to be minted is said beside its input": async (visit) => {
    visit.allow(/422/);
    const page = await visit.open(SHOP);
    await page.getByLabel("Name").fill("till-9");
    await page.getByLabel("Good for").fill("soon");
    await button(page, "Mint and download").click();
    await page.locator("#expires-wrong").waitFor();
    assert.equal(await page.getByLabel("Name").inputValue(), "till-9");
  },

  "a box is let in, and takes the answer": async (visit) => {
    const request = box(visit, "request", "--no-encrypt");
    const shown = request.match(/fingerprint +(\S.*)/)[1].trim();
    const page = await visit.open("/leaves");
    const file = { name: "van-1.txt", mimeType: "text/plain", buffer: Buffer.from(request) };
    await page.getByLabel("Or a file with it").setInputFiles(file);
    await button(page, "Look at it").click();
    assert.equal(await page.locator("#fingerprint").innerText(), shown);
    await page.getByLabel("The box shows the same fingerprint").check();
    await button(page, "Let it in").click();
    await heading("van-1 is let in")(page);
    const answer = await downloaded(page, "Download it", "van-1.answer");
    writeFileSync(join(visit.site.node.folder, "van.answer"), answer);
    box(visit, "accept", "van.answer");
    await page.goto("/leaves");
    await page.getByText(shown).waitFor();
  },

  "a request that is pasted is looked at, and one that is cut off is refused": async (visit) => {
    visit.allow(/422/);
    const request = box(visit, "request", "--no-encrypt");
    const page = await visit.open("/leaves", { script: false });
    await page.getByLabel("Request of the box").fill(request.slice(0, request.length / 2));
    await button(page, "Look at it").click();
    await page.getByText("it is cut off").waitFor();
    await page.getByLabel("Request of the box").fill(request);
    await button(page, "Look at it").click();
    await page.locator("#fingerprint").waitFor();
  },

  "who is no admin is offered none of it, and the server refuses it": async (visit) => {
    visit.allow(/403/);
    for (const path of [SHOP, "/leaves"]) {
      const page = await visit.open(path, { as: "vic" });
      await page.getByText("takes the role admin").waitFor();
      assert.equal(await page.locator("form[method=post]").count(), 0);
    }
    for (const path of [`${SHOP}/mint`, `${SHOP}/revoke`, "/leaves/look", "/leaves/approve", "/leaves/van-1/take-back"]) {
      assert.equal((await visit.site.post(visit, "vic", path, { name: "x" })).status, 403, path);
    }
  },
};
