// A leafbox node in a folder of its own, on ports that the system chose.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "./checks.mjs";

export class Node {
  #leafbox;
  #child;

  // `files`: a folder with its node.toml and fleet.toml.
  constructor(leafbox, files) {
    this.#leafbox = leafbox;
    this.folder = mkdtempSync(join(tmpdir(), "leafbox-browser-"));
    cpSync(files, this.folder, { recursive: true });
  }

  #environment() {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith("LEAFBOX_") || name === "LEAFBOX_NATS_SERVER");
    return { ...Object.fromEntries(own), NO_COLOR: "1", XDG_CONFIG_HOME: join(this.folder, "config") };
  }

  // Runs a command to its end, and gives what it prints.
  command(...words) {
    const ran = spawnSync(this.#leafbox, words, { cwd: this.folder, env: this.#environment(), encoding: "utf8" });
    if (ran.status !== 0) throw new Error(`leafbox ${words.join(" ")}: ${ran.stderr || ran.error}`);
    return ran.stdout;
  }

  // Starts `leafbox run`, or `leafbox dev`, and waits for its console.
  async start(...words) {
    const addresses = join(this.folder, ".data/run/addresses.json");
    // What an earlier run left must not be read as this one's.
    rmSync(addresses, { force: true });
    const log = openSync(join(this.folder, "node.log"), "a");
    this.#child = spawn(this.#leafbox, words, { cwd: this.folder, env: this.#environment(), stdio: ["ignore", log, log] });
    await eventually("the node is ready", async () => {
      if (this.#child.exitCode !== null) throw new Error(`leafbox ended with ${this.#child.exitCode}:\n${this.log()}`);
      if (!existsSync(addresses)) return false;
      this.addresses = JSON.parse(readFileSync(addresses, "utf8"));
      const ready = await fetch(`http://${this.addresses.health}/readyz`).catch(() => null);
      return ready?.ok;
    }, 60_000);
    if (!this.addresses.console) throw new Error(`the node has no console:\n${this.log()}`);
  }

  // As browsers come to it: passkeys are bound to the name.
  get origin() {
    return `http://localhost:${this.addresses.console.split(":").at(-1)}`;
  }

  log() {
    return readFileSync(join(this.folder, "node.log"), "utf8");
  }

  // The nats-server that this node's supervisor runs at the moment; nothing while there is none.
  natsServer() {
    try {
      const pid = Number(readFileSync(join(this.folder, ".data/run/nats-server.pid"), "utf8"));
      // The number may have become another process's.
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.folder) ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  // Stops it as Ctrl-C does, and gives its exit code.
  async stop() {
    this.#child.kill("SIGINT");
    await eventually("the node stops", () => this.#child.exitCode !== null);
    return this.#child.exitCode;
  }

  // Whatever happened, nothing stays behind.
  end() {
    if (this.#child && this.#child.exitCode === null) {
      this.#child.kill("SIGKILL");
      // One that a check has stopped would outlive it.
      const server = this.natsServer();
      if (server) process.kill(server, "SIGKILL");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
