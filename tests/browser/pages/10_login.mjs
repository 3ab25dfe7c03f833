// The login: passkeys, made and shown in a real browser on a device that Chromium plays.

import assert from "node:assert/strict";

import { Device } from "../harness/passkey.mjs";
import { eventually } from "../harness/checks.mjs";

export const pages = [
  {
    name: "login",
    path: "/login/",
    as: null,
    ready: (page) => page.getByRole("button", { name: "Log in with a passkey" }).waitFor(),
    unscripted: /This page needs JavaScript.*leafbox status/s,
    skips: false,
  },
  {
    name: "login-help",
    path: "/login/?next=%2Fstreams",
    as: null,
    ready: async (page) => {
      await page.getByRole("button", { name: "Log in with a passkey" }).waitFor();
      await page.getByText("It does not work").click();
    },
    unscripted: /This page needs JavaScript/,
    skips: false,
  },
  {
    name: "prove",
    path: "/login/prove?next=%2Fleaves",
    ready: (page) => page.getByRole("button", { name: "Show my passkey" }).waitFor(),
    unscripted: /This page needs JavaScript/,
    skips: false,
  },
];

const logIn = (page) => page.getByRole("button", { name: "Log in with a passkey" }).click();

const who = async (page) => (await page.request.get("/login/session")).json();

// The passkey that somebody made on enrolling.
let passkeys = [];

// The device that has it.
async function deviceOf(page) {
  const device = await Device.of(page);
  await device.keep(passkeys);
  return device;
}

// When the stream that a page reads ends, from which side ever.
const over = (page, path) =>
  new Promise((done) => {
    const is = (request) => new URL(request.url()).pathname === path && done();
    page.on("requestfinished", is);
    page.on("requestfailed", is);
  });

export const checks = {
  "somebody invited makes a passkey, and the link is good once": async (visit) => {
    const link = visit.site.link("ada", "operator");
    const { page, device } = await visit.site.enrol(visit, "ada", "operator", link);
    const { name, role } = await who(page);
    assert.deepEqual([name, role], ["ada", "operator"]);
    const [credential, ...others] = await device.credentials();
    assert.equal(others.length, 0);
    assert.ok(credential.isResidentCredential, "it must be found without a name");
    assert.equal(credential.rpId, "localhost");
    passkeys = [credential];
    assert.doesNotMatch(page.url(), /enroll/, "the token is in no address bar");

    const thief = await visit.open(null, { as: null });
    visit.allow(/the server responded with a status of 403/);
    await thief.goto(link);
    await thief.getByRole("alert").getByText("This link is not good").waitFor();
  },

  "by the button, with a passkey that the device finds": async (visit) => {
    const page = await visit.open(null, { as: null });
    await deviceOf(page);
    // As in a browser that offers nothing in fields.
    await page.addInitScript(() => delete PublicKeyCredential.isConditionalMediationAvailable);
    await page.goto("/login/?next=%2F%3Ffrom%3Dlogin");
    await logIn(page);
    await page.waitForURL("/?from=login");
    assert.equal((await who(page)).name, "ada");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.secure, cookie.sameSite], ["__Host-leafbox", true, true, "Strict"]);
  },

  "in the field, where the browser offers the passkey by itself": async (visit) => {
    const page = await visit.open(null, { as: null });
    await deviceOf(page);
    await page.goto("/login/");
    // Nothing is clicked: Chromium's device agrees as soon as the page asks.
    await page.waitForURL("/");
    assert.equal((await who(page)).name, "ada");
  },

  "a device that does not recognise its user lets nobody in": async (visit) => {
    const page = await visit.open(null, { as: null });
    const device = await deviceOf(page);
    await device.recognises(false);
    await page.goto("/login/");
    await logIn(page);
    await page.getByRole("alert").getByText("No passkey was chosen").waitFor();
    assert.equal(new URL(page.url()).pathname, "/login/");
    assert.deepEqual(await page.context().cookies(), []);
    // The same device, once it does.
    await device.recognises(true);
    await logIn(page);
    await page.waitForURL("/");
  },

  "a session that ends elsewhere ends here, and its page goes to the login": async (visit) => {
    const here = await visit.open(null, { as: null });
    const device = await deviceOf(here);
    await here.goto("/login/");
    await here.waitForURL("/");
    // Or the login would let it in again.
    await device.agrees(false);
    await here.locator("#overview[data-at]").waitFor();
    const { session } = await who(here);
    const ended = over(here, "/live/overview");
    // What asks again is refused.
    visit.allow(/the server responded with a status of 401/);

    const there = await visit.open(null, { as: null });
    await deviceOf(there);
    await there.goto("/login/");
    await there.waitForURL("/");
    const answer = await there.evaluate(async (id) => (await fetch(`/login/sessions/${id}`, { method: "DELETE" })).status, session);
    assert.equal(answer, 200);
    await ended;
    await here.waitForURL((url) => url.pathname === "/login/" && url.searchParams.get("next") === "/");
    assert.equal((await here.request.get("/login/session")).status(), 401);
    assert.equal((await who(there)).name, "ada", "the other one goes on");
  },

  "who is logged in shows the passkey again on the way to what signs": async (visit) => {
    const page = await visit.open(null, { as: null });
    const device = await deviceOf(page);
    await page.goto("/login/");
    await page.waitForURL("/");
    await device.recognises(false);
    await page.goto("/login/prove?next=%2Fleaves");
    const show = page.getByRole("button", { name: "Show my passkey" });
    await show.click();
    await page.getByRole("alert").getByText("No passkey was chosen").waitFor();
    await device.recognises(true);
    await show.click();
    await page.waitForURL("/leaves");
  },

  "who is not logged in is led to the login and back": async (visit) => {
    const page = await visit.open(null, { as: null });
    const device = await deviceOf(page);
    await device.agrees(false);
    await page.goto("/?kept=yes");
    assert.equal(new URL(page.url()).pathname, "/login/");
    await device.agrees(true);
    await page.reload();
    await page.waitForURL("/?kept=yes");
  },

  "at an IP address it says what to do": async (visit) => {
    const page = await visit.open(null, { as: null, baseURL: visit.site.origin.replace("localhost", "127.0.0.1") });
    visit.allow(/a request left the origin: http:\/\/127\.0\.0\.1:/);
    await page.goto("/login/");
    await page.getByRole("alert").getByText("Browsers refuse passkeys at an IP address").waitFor();
    await page.getByText("ssh -L").waitFor();
    await eventually("the place that helps is marked", () => page.locator("#help-address.here").isVisible());
  },
};
