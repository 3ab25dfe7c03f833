// Chromium, and what a check opens in it. Whatever is opened is watched: an error on the console, a
// violation of the content security policy or a request to another origin fails the check.

import { chromium } from "playwright-core";

export const open = () => chromium.launch({ executablePath: process.env.LEAFBOX_CHROMIUM });

// What one check opens.
export class Visit {
  #browser;
  #contexts = [];
  #wrong = [];
  #allowed = [];

  constructor(browser, site) {
    this.#browser = browser;
    this.site = site;
  }

  // A page of the console, as seen by somebody (`as`: a name that site.enrol gave a session, or nobody).
  async open(path, { as = "admin", size = [1280, 800], colour = "light", script = true, ...more } = {}) {
    const [width, height] = size;
    const context = await this.#browser.newContext({
      baseURL: this.site.origin,
      viewport: { width, height },
      colorScheme: colour,
      javaScriptEnabled: script,
      // Pages must not depend on them, and pictures are of what is there afterwards.
      reducedMotion: "reduce",
      ...more,
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(30_000);
    if (as) await context.addCookies(this.site.cookies(as));
    const page = await context.newPage();
    this.#watch(page);
    this.answer = path === null ? null : await page.goto(path);
    return page;
  }

  // What this check brings about by itself and is no mistake, such as a request that is refused.
  allow(pattern) {
    this.#allowed.push(pattern);
  }

  #watch(page) {
    const wrong = (what) => this.#wrong.push(what);
    page.on("console", (message) => {
      if (message.type() === "error") wrong(`the console says: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => wrong(`a script failed: ${error.stack}`));
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith("http") && url.origin !== this.site.origin) wrong(`a request left the origin: ${url}`);
    });
  }

  async end() {
    for (const context of this.#contexts) await context.close();
    const left = this.#wrong.filter((what) => !this.#allowed.some((pattern) => pattern.test(what)));
    if (left.length) throw new Error([...new Set(left)].join("\n"));
  }
}
