// Says when what a page keeps up to date is old, whatever the reason, and leads to the login where the
// session is over. A part that is sent something regularly says in `data-late` how many milliseconds
// without it are too many.
const live = document.querySelector("[data-live]");
const told = document.getElementById("freshness");
const late = Number(live?.querySelector("[data-late]")?.dataset.late ?? Infinity);
// Datastar tries again within 5 s: what is not heard of failing for longer is connected.
const TRYING = 6_000;
let last = Date.now();
let failed = -TRYING;

if (live && told) {
  document.addEventListener("datastar-fetch", ({ detail: { el, type } }) => {
    if (el.closest("[data-live]") !== live) return;
    if (type === "datastar-patch-elements") {
      last = Date.now();
      failed = -TRYING;
    } else if (type === "retrying") {
      failed = Date.now();
      enterAgain();
    }
    tell();
  });
  // What goes on after a pause has as long as any to be sent something.
  new MutationObserver(() => { last = Date.now(); tell(); }).observe(live, { attributeFilter: ["data-paused"] });
  setInterval(tell, 1_000);
}

// A new row of a table to which all belong (`data-grows`) gets its place, by its id, before Datastar
// fills it: of itself that changes only what is there.
const grows = live?.querySelector("[data-grows]");
if (grows) document.addEventListener("datastar-fetch", ({ detail: { type, argsRaw } }) => {
  if (type !== "datastar-patch-elements") return;
  for (const [, id] of argsRaw.elements?.matchAll(/<tr id="([^"]+)"/g) ?? []) {
    if (document.getElementById(id)) continue;
    const row = document.createElement("tr");
    row.id = id;
    grows.insertBefore(row, [...grows.rows].find((other) => other.id > id) ?? null);
  }
}, { capture: true });

// Of a page that the browser kept while another was shown, nothing is known.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

async function enterAgain() {
  const answer = await fetch("/login/entered").catch(() => null);
  if (answer?.ok && !(await answer.json()).entered) location.replace(`/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function tell() {
  const is = state();
  if (told.dataset.is === is) return;
  told.dataset.is = is;
  told.dataset.stale = { live: "no", paused: "paused" }[is] ?? "yes";
  told.textContent = {
    live: "Live",
    paused: "⏸ Paused: what is shown here does not change until you resume.",
    cut: "⚠ Stale: the connection is cut. Trying again.",
    late: `⚠ Stale: nothing new since ${new Date(last).toLocaleTimeString()}. Trying again.`,
  }[is];
}

function state() {
  if (live.dataset.paused === "yes") return "paused";
  if (Date.now() - last > late) return "late";
  return Date.now() - failed < TRYING ? "cut" : "live";
}
