// The node whose console is looked at, and who is logged in to it.

import { Visit } from "./browser.mjs";
import { Node } from "./node.mjs";
import { Device } from "./passkey.mjs";

export class Site {
  #browser;
  #sessions = new Map();

  constructor(leafbox, files, browser) {
    this.#browser = browser;
    this.node = new Node(leafbox, files);
  }

  // Starts the node, and has its first admin come in.
  async start() {
    this.node.command("dev", "--once", "--any-port");
    await this.node.start("run");
    await this.with((visit) => this.enrol(visit, "admin", "admin"));
    await this.with((visit) => this.enrol(visit, "vic", "viewer"));
  }

  get origin() {
    return this.node.origin;
  }

  // The link with which somebody makes a passkey.
  link(name, role) {
    const words = name === "admin" ? [] : ["--user", name, "--role", role];
    return this.node.command("console", "enroll", ...words).trim();
  }

  // Has somebody make a passkey on a device, and keeps the session for the checks to come.
  async enrol(visit, name, role, link = this.link(name, role)) {
    const page = await visit.open(null, { as: null });
    const device = await Device.of(page);
    await page.goto(link);
    await page.getByRole("button", { name: "Make a passkey" }).click();
    await page.waitForURL("/");
    this.#sessions.set(name, await page.context().cookies());
    return { page, device };
  }

  // Sends a form as somebody does on a page of the console, and gives the page that answers.
  async post(visit, as, path, form) {
    const page = await visit.open(null, { as });
    const answer = await page.request.post(path, { form, headers: { origin: this.origin } });
    return { status: answer.status(), text: await answer.text() };
  }

  cookies(name) {
    const cookies = this.#sessions.get(name);
    if (!cookies) throw new Error(`${name} has not enrolled`);
    return cookies;
  }

  // Runs a check with what it may open; what it opened is closed and must have been in order.
  async with(check) {
    const visit = new Visit(this.#browser, this);
    let failed;
    await check(visit).catch((error) => (failed = error));
    await visit.end().catch((error) => {
      failed = failed ? new Error(`${failed.stack}\nand:\n${error.message}`) : error;
    });
    if (failed) throw failed;
  }

  async stop() {
    const code = await this.node.stop();
    if (code !== 0) throw new Error(`leafbox ended with ${code}:\n${this.node.log()}`);
  }

  end() {
    this.node.end();
  }
}
