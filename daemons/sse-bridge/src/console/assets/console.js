// Says when the page's data is old: the stream of events has stopped, whatever the reason.
const LATE = 40_000;
const live = document.querySelector("[data-live]");
const told = document.getElementById("freshness");
// What comes at least every 15 s says so itself; the rest is late when its stream is.
const beats = live?.querySelector("[data-beats]");
let last = Date.now();
let lost = false;

if (live && told) {
  new MutationObserver(() => { last = Date.now(); lost = false; tell(); }).observe(live, { childList: true, subtree: true, attributes: true });
  document.addEventListener("datastar-fetch", ({ detail }) => {
    if (detail.el.closest("[data-live]") !== live) return;
    lost = ["error", "retrying", "retries-failed", "finished"].includes(detail.type);
    tell();
  });
  setInterval(tell, 2_000);
}

function tell() {
  const paused = live.dataset.paused === "yes";
  const stale = !paused && (lost || (beats && Date.now() - last > LATE));
  const state = paused ? "paused" : stale ? "yes" : "no";
  if (told.dataset.stale === state) return;
  told.dataset.stale = state;
  told.textContent = {
    paused: "⏸ Paused: what is shown here does not change until you resume.",
    yes: "⚠ Stale: nothing new has come for a while. Trying again.",
    no: "Live",
  }[state];
}
