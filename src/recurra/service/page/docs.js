"use strict";

const COOKIE = "recurra_key";
// Where the service is, behind whatever proxy: where this script came from.
const HERE = new URL(".", document.currentScript.src).href.replace(/\/$/u, "");
const key = document.getElementById("key");
key.value = sessionStorage.getItem(COOKIE) || "";
key.addEventListener("change", () => sessionStorage.setItem(COOKIE, key.value.trim()));
for (const place of document.querySelectorAll(".address")) place.textContent = HERE;

/** The answer's text, piece by piece, JSON with line ends where it is whole. */
async function read(answer, shown) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let whole = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    whole += value;
    shown(whole);
  }
  if ((answer.headers.get("content-type") || "").startsWith("application/json")) {
    shown(JSON.stringify(JSON.parse(whole), null, 1));
  }
}

async function send(form) {
  const said = form.querySelector(".answer");
  const area = form.querySelector("textarea");
  const headers = key.value.trim() ? { Authorization: `Bearer ${key.value.trim()}` } : {};
  const options = { method: form.dataset.method, headers };
  if (area) {
    options.body = area.value;
    headers["Content-Type"] = "application/json";
  }
  const path = form.dataset.path.replace(/\{(\w+)\}/gu, (_, name) => encodeURIComponent(form.elements[name].value));
  said.hidden = false;
  said.textContent = "…";
  try {
    const answer = await fetch(HERE + path, options);
    const status = `${answer.status} ${answer.statusText}`.trim();
    said.textContent = status;
    if (answer.body) await read(answer, (text) => (said.textContent = `${status}\n${text}`));
  } catch {
    said.textContent = "The service does not answer. Is it still running?";
  }
}

for (const form of document.querySelectorAll(".trial")) {
  form.addEventListener("submit", (event) => (event.preventDefault(), send(form)));
}
