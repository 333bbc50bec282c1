// Puts the page together.

import { getJson } from "./api.js";
import * as avatars from "./avatars.js";
import * as jobs from "./jobs.js";
import * as speech from "./speech.js";
import * as stage from "./stage.js";
import { element, shared, tell } from "./ui.js";

let timer = 0;

// Say what the service runs, as soon as it has loaded it, or that it is away.
async function introduce() {
  clearTimeout(timer);
  try {
    const info = await getJson("v1/info");
    shared.limits = info.limits;
    element("write").hidden = !info.text_to_speech;
    tell("limits");
    element("service").textContent = `${info.model.name} on ${info.device}`;
    element("service").title = `Mouthpiece ${info.version}. Model licence: ${info.model.licence}`;
  } catch (error) {
    element("service").textContent = error.message;
    if (error.status !== 401) timer = setTimeout(introduce, 1500);
  }
}

shared.addEventListener("lost", introduce);
shared.addEventListener("key", () => shared.limits || introduce()); // one was asked for again and is given now
// A file that is dropped beside its place must not replace the page.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
for (const part of [avatars, speech, stage, jobs]) part.wire();
await Promise.allSettled([introduce(), avatars.load(), stage.load(), jobs.load()]);
