// What a run prints: a line for each check, the figures, and a count that fails the run.

export class Checks {
  #passed = 0;
  #failed = 0;
  #skipped = 0;
  #figures = new Map();
  page = "harness";

  // Whether what is said holds: `check` throws where it does not.
  async try(what, check) {
    const begun = Date.now();
    try {
      await within(60_000, check());
      this.#passed += 1;
      console.log(`ok      ${this.page}: ${what} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
    } catch (error) {
      if (error instanceof Skipped) return this.skip(`browser, ${what}`, error.message);
      this.#failed += 1;
      console.log(`FAILED  ${this.page}: ${what}\n        ${String(error.stack).slice(0, 3000).replaceAll("\n", "\n        ")}`);
    }
  }

  broken(why) {
    this.#failed += 1;
    console.log(`FAILED  ${this.page}: ${why}`);
  }

  // The gate collects lines of this form.
  skip(what, why) {
    this.#skipped += 1;
    console.log(`skipped ${what}: ${why}`);
  }

  // A figure for the end; nothing is asserted of it.
  figure(what, value) {
    this.#figures.set(what, value);
  }

  summary() {
    for (const [what, value] of this.#figures) console.log(`        ${what}: ${value}`);
    console.log(`${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped`);
    return this.#failed ? 1 : 0;
  }
}

function within(deadline, work) {
  let timer;
  const over = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(`not done within ${deadline / 1000} s`)), deadline)));
  return Promise.race([work, over]).finally(() => clearTimeout(timer));
}

// Thrown by a check that cannot be tried here.
export class Skipped extends Error {}

// Waits until `probe` gives something other than undefined, null or false, and gives that.
export async function eventually(what, probe, deadline = 30_000) {
  for (const until = Date.now() + deadline; ; await new Promise((wake) => setTimeout(wake, 25))) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > until) throw new Error(`not in time: ${what}`);
  }
}
