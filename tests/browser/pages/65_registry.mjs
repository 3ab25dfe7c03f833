// The registry: an image that is pushed, and what the console tells of it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

const digest = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

// Pushes an image as clients do: blobs, then the manifest.
async function push(visit, repository, tag, layer) {
  const registry = `http://${visit.site.node.addresses.registry}`;
  const send = async (method, path, body, type) => {
    const answer = await fetch(new URL(path, registry), { method, body, headers: type ? { "content-type": type } : {} });
    assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  };
  const blob = async (bytes, mediaType) => {
    const begun = await send("POST", `/v2/${repository}/blobs/uploads/`);
    const at = begun.headers.get("location");
    await send("PUT", `${at}${at.includes("?") ? "&" : "?"}digest=${digest(bytes)}`, bytes, "application/octet-stream");
    return { mediaType, digest: digest(bytes), size: bytes.length };
  };
  const config = await blob(Buffer.from('{"os":"linux","architecture":"amd64"}'), CONFIG);
  const layers = [await blob(Buffer.from(layer), LAYER)];
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers });
  await send("PUT", `/v2/${repository}/manifests/${tag}`, manifest, MANIFEST);
}

export async function prepare(visit) {
  await push(visit, "team/till", "1.0", "first".repeat(2000));
  await push(visit, "team/till", "latest", "first".repeat(2000));
  await push(visit, "team/till", "latest", "second".repeat(3000));
  await push(visit, "kiosk", "2026-11", "third".repeat(100));
}

export const pages = [
  { name: "registry", path: "/registry", ready: (page) => page.getByRole("link", { name: "team/till" }).waitFor(), unscripted: /ready.*team\/till.*Collector/s },
  { name: "repository", path: "/registry/team%2Ftill", ready: (page) => page.getByRole("link", { name: "latest" }).waitFor(), unscripted: /1\.0.*latest.*pushed here/s },
  { name: "tag", path: "/registry/team%2Ftill/latest", ready: (page) => page.getByText("docker pull").waitFor(), unscripted: /docker pull .*team\/till:latest.*Changes/s },
];

export const checks = {
  "what is pushed is there without a click, with its size": async (visit) => {
    const page = await visit.open("/registry", { as: "vic" });
    await page.getByRole("link", { name: "kiosk" }).waitFor();
    await push(visit, "scales", "v1", "weigh".repeat(1000));
    await page.getByRole("row", { name: /scales 1 [\d.]+ KiB/ }).waitFor();
  },

  "a tag that changed tells what it was before, and nothing tells of tokens": async (visit) => {
    const page = await visit.open("/registry/team%2Ftill/latest", { as: "vic" });
    await page.getByText("docker pull").waitFor();
    const changes = await page.getByRole("region", { name: "Changes" }).locator("tbody tr").count();
    assert.equal(changes, 2);
    assert.match(await page.locator("pre").first().innerText(), new RegExp(`^docker pull ${visit.site.node.addresses.registry}/team/till:latest$`));
    visit.allow(/the server responded with a status of 40[34]/);
    await visit.open("/kv/LEAFBOX/leafbox_registry");
    assert.equal(visit.answer.status(), 403);
    await visit.open("/registry/nobody");
    assert.equal(visit.answer.status(), 404);
  },
};
