// Says when the page's data is old: the stream of events has stopped, whatever the reason.
const LATE = 40_000;
const live = document.getElementById("overview")?.parentElement;
const told = document.getElementById("freshness");
let last = Date.now();

if (live && told) {
  new MutationObserver(() => { last = Date.now(); tell(); }).observe(live, { childList: true, subtree: true, attributes: true });
  setInterval(tell, 2_000);
}

function tell() {
  const stale = Date.now() - last > LATE ? "yes" : "no";
  if (told.dataset.stale === stale) return;
  told.dataset.stale = stale;
  told.textContent = stale === "yes" ? "⚠ Stale: nothing new has come for a while. Trying again." : "Live";
}
