// Pictures of each page, as a phone and a laptop show it, in both colours. WebP, so that they can be kept.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SIZES = [[1280, 800], [390, 844]];
const MOST_BYTES = 60_000;
// The first with which a picture is small enough to be kept.
const QUALITIES = [80, 60, 40];

export class Pictures {
  #folder;

  constructor(folder) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async take(site, { name, path, as, ready }) {
    for (const size of SIZES) {
      for (const colour of ["light", "dark"]) {
        await site.with(async (visit) => {
          const page = await visit.open(path, { as, size, colour });
          await ready(page);
          const session = await page.context().newCDPSession(page);
          let bytes;
          for (const quality of QUALITIES) {
            const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality });
            bytes = Buffer.from(data, "base64");
            if (bytes.length <= MOST_BYTES) break;
          }
          const file = `${name}-${size[0]}-${colour}.webp`;
          if (bytes.length > MOST_BYTES) throw new Error(`${file} has ${bytes.length} bytes: too many to keep`);
          writeFileSync(join(this.#folder, file), bytes);
        });
      }
    }
  }
}
