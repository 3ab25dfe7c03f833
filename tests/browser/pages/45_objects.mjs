// Objects: uploaded by a form, looked at, downloaded.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const LEAFLETS = "/objects/SHOP/LEAFLETS";
const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();

// With no script: a form is all that it takes.
async function upload(visit, name, buffer, more = async () => {}) {
  const page = await visit.open(LEAFLETS, { script: false });
  await page.getByLabel("File").setInputFiles({ name, mimeType: "application/octet-stream", buffer });
  await more(page);
  await page.getByRole("button", { name: "Upload" }).click();
  return page;
}

export async function prepare(visit) {
  const leaflet = Buffer.from("%PDF-1.7\n".concat("bread and cake, this week\n".repeat(2000)));
  const page = await upload(visit, "week-47.pdf", leaflet, async (page) => page.getByLabel("Description").fill("for the window"));
  await page.locator(".message:not(.bad)").waitFor();
}

export const pages = [
  { name: "objects", path: "/objects", ready: heading("Objects"), unscripted: /LEAFLETS/ },
  { name: "leaflets", path: LEAFLETS, ready: (page) => page.getByRole("link", { name: "week-47.pdf" }).waitFor(), unscripted: /week-47\.pdf.*for the window.*Upload/s },
  { name: "object", path: `${LEAFLETS}/of/week-47.pdf`, ready: heading("week-47.pdf"), unscripted: /50\.8 KiB/ },
];

export const checks = {
  "a file comes back as it was uploaded, whatever is in it": async (visit) => {
    const bytes = Buffer.alloc(700_000, 0).map((_, at) => (at * 31) % 251);
    const page = await upload(visit, "bytes.bin", bytes);
    await page.getByText("bytes.bin is stored, 683.6 KiB").waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.equal(Buffer.compare(readFileSync(await download.path()), bytes), 0);
  },

  "what has the name already stays, unless the box is ticked": async (visit) => {
    visit.allow(/the server responded with a status of 400/);
    const small = Buffer.from("small");
    const refused = await upload(visit, "bytes.bin", small);
    await refused.getByText("tick the box that replaces it").waitFor();
    const page = await upload(visit, "bytes.bin", small, (page) => page.getByLabel("Replace an object").check());
    await page.getByText("bytes.bin is stored, 5 B").waitFor();
  },
};
