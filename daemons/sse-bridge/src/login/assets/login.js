// The ceremonies of the login page. What is asked for and whether the answer is right is the
// server's matter; this carries it to the browser and back, and says what to do when it cannot.
"use strict";

const at = (id) => document.getElementById(id);
const main = document.querySelector("main");
const next = main.dataset.next || "/";

// base64url of JSON, and the buffers that browsers want.
const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

function requestOptions({ publicKey }) {
  const allowed = (publicKey.allowCredentials || []).map((one) => ({ ...one, id: bytes(one.id) }));
  return { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: allowed };
}

function creationOptions({ publicKey }) {
  return {
    ...publicKey,
    challenge: bytes(publicKey.challenge),
    user: { ...publicKey.user, id: bytes(publicKey.user.id) },
    excludeCredentials: (publicKey.excludeCredentials || []).map((one) => ({ ...one, id: bytes(one.id) })),
  };
}

function answerOf(credential) {
  const response = { clientDataJSON: text(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  if (credential.response.getTransports) response.transports = credential.response.getTransports();
  const { credProps } = credential.getClientExtensionResults();
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    response,
    extensions: credProps ? { credProps } : {},
  };
}

class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused({ code: "offline", message: "The machine does not answer. Is it on, and on this network?" });
  }
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(json.error || { code: "unknown", message: `The machine answered ${answer.status}.` });
  return json;
}

function say(words) {
  at("status").textContent = words;
  at("error").hidden = true;
}

function point(section) {
  at("help").open = true;
  at(section).classList.add("here");
}

function fail(words, section) {
  say("");
  const error = at("error");
  error.textContent = words;
  error.hidden = false;
  error.focus();
  if (section) point(section);
}

function explain(error) {
  if (error instanceof Refused) {
    const section = { unknown_passkey: "help-nobody", bad_token: "help-nobody" }[error.code];
    return fail(sentence(error.message), section);
  }
  // Chromium and Firefox say it in words only.
  if (/certificate|TLS/i.test(error.message)) {
    return fail("The browser does not trust the certificate of this address, and refuses passkeys.", "help-certificate");
  }
  switch (error.name) {
    case "NotAllowedError":
      return fail("No passkey was chosen, or it took too long. Try again.");
    case "InvalidStateError":
      return fail("This device has a passkey for you already. Choose another device, or log in.");
    case "SecurityError":
      return fail(`Passkeys of this console are for ${main.dataset.origin}.`, isAddress() ? "help-address" : "help-http");
    case "NotSupportedError":
      return fail("This device cannot keep such a passkey. Choose a phone, a security key or a password manager.");
    default:
      return fail(`The browser said: ${error.message || error.name}.`);
  }
}

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1).replace(/([^.])$/, "$1.");
const isAddress = () => /^(\[.*\]|[\d.]+)$/.test(location.hostname);

// Whether passkeys can work here at all; the page says what to do where they cannot.
function isPossible() {
  if (isAddress()) {
    fail("Browsers refuse passkeys at an IP address.", "help-address");
  } else if (!window.isSecureContext) {
    fail("Browsers refuse passkeys over plain http.", "help-http");
  } else if (!window.PublicKeyCredential) {
    fail("This browser has no passkeys. Use a current Chrome, Edge, Firefox or Safari.");
  } else {
    return true;
  }
  return false;
}

async function enter() {
  // A browser that did not keep the cookie would be sent back here for ever.
  if (!(await ask("/login/entered")).entered) {
    return fail("You are logged in, but the browser did not keep the session's cookie.", "help-cookie");
  }
  say("You are logged in.");
  location.replace(next);
}

// One at a time: the button ends what waits in the field.
let waiting = null;

function abort() {
  if (waiting) waiting.abort();
  waiting = new AbortController();
  return waiting.signal;
}

async function logIn(conditional) {
  const signal = abort();
  const begun = await ask("/login/begin", {});
  if (signal.aborted) return;
  const wanted = { publicKey: requestOptions(begun.options), signal };
  if (conditional) wanted.mediation = "conditional";
  const credential = await navigator.credentials.get(wanted);
  say("Checking …");
  await ask("/login/finish", { ceremony: begun.ceremony, credential: answerOf(credential) });
  await enter();
}

async function offerInField() {
  const has = PublicKeyCredential.isConditionalMediationAvailable;
  if (!has || !(await has.call(PublicKeyCredential))) return;
  // The server forgets a ceremony after five minutes.
  const renew = setTimeout(() => offerInField(), 4 * 60 * 1000);
  try {
    await logIn(true);
  } catch (error) {
    clearTimeout(renew);
    if (error.name === "AbortError") return;
    explain(error);
    if (error.code !== "too_many" && error.code !== "offline") setTimeout(offerInField, 5000);
  }
}

function busy(form, work) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await work();
    } catch (error) {
      explain(error);
    }
    button.removeAttribute("aria-disabled");
  });
}

function showLogin() {
  at("login").hidden = false;
  busy(at("login"), async () => {
    say("Your browser asks for your passkey.");
    try {
      await logIn(false);
    } finally {
      if (at("error").hidden === false || at("status").textContent !== "You are logged in.") offerInField();
    }
  });
  offerInField();
}

async function showEnrolment(token) {
  // Out of the address bar, so that it is in no history and no screenshot.
  history.replaceState(null, "", location.pathname + location.search);
  let begun = await ask("/login/enroll/begin", { token });
  at("title").textContent = "Make your passkey";
  at("enrol-name").textContent = begun.name;
  at("enrol-role").textContent = begun.role;
  at("enrol").hidden = false;
  busy(at("enrol"), async () => {
    const label = at("label").value.trim() || (navigator.userAgentData?.platform ?? "Passkey");
    say("Your browser asks where to keep the passkey.");
    const ceremony = begun ?? (await ask("/login/enroll/begin", { token }));
    // Each is good once: what fails begins anew.
    begun = null;
    const credential = await navigator.credentials.create({ publicKey: creationOptions(ceremony.options) });
    say("Checking …");
    await ask("/login/enroll/finish", { ceremony: ceremony.ceremony, credential: answerOf(credential), label });
    await enter();
  });
}

function showProof() {
  at("prove").hidden = false;
  busy(at("prove"), async () => {
    say("Your browser asks for your passkey.");
    const begun = await ask("/login/prove/begin", {});
    const credential = await navigator.credentials.get({ publicKey: requestOptions(begun.options) });
    say("Checking …");
    await ask("/login/prove/finish", { ceremony: begun.ceremony, credential: answerOf(credential) });
    say("That is you.");
    location.replace(next);
  });
}

async function start() {
  if (at("prove")) return isPossible() && showProof();
  // A link from elsewhere brings no cookie; a request of this page does.
  const is = await ask("/login/entered").catch(() => null);
  const token = new URLSearchParams(location.hash.slice(1)).get("enroll");
  if (is?.entered && !token) return location.replace(next);
  if (!isPossible()) return;
  if (token) return showEnrolment(token);
  showLogin();
}

start().catch(explain);
