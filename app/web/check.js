// How well the person in a video will speak, before an avatar is made of it.

import { follow, getJson, media, problem, remove, upload } from "./api.js";
import { announce, element, pace, showWarnings } from "./ui.js";

const [panel, verdict, faces] = ["examination", "verdict", "faces"].map(element);
let controller = new AbortController();

// Forget what was said of the last video; stop looking at it.
export function clearCheck() {
  controller.abort();
  controller = new AbortController();
  panel.hidden = faces.hidden = true;
  URL.revokeObjectURL(faces.src);
  showWarnings(element("reasons"), []);
  return controller.signal;
}

// Have the service look at a video and say what it found; the form is that of an avatar.
export async function check(form) {
  const signal = clearCheck();
  panel.hidden = false;
  form.delete("id");
  let job = null;
  try {
    const onProgress = (sent) => say(`Uploading, ${Math.round(100 * sent)} %`);
    job = await upload("v1/avatars?check=true", form, onProgress, signal);
    for await (job of follow(job.id, signal)) say(job.state === "queued" ? "Queued" : pace(job.progress));
    if (job.error) throw problem(job.error.detail);
    const report = await getJson(job.links.report);
    const picture = await media(job.links.sheet);
    if (signal.aborted) return URL.revokeObjectURL(picture);
    show(report, picture);
  } catch (error) {
    if (!signal.aborted) say(error.message);
    else if (job && !job.finished_at) remove(`v1/jobs/${job.id}`).catch(() => {});
  }
}

const say = (words) => (verdict.textContent = words);

function show(report, picture) {
  say(`Verdict: ${report.verdict}`);
  const told = new Set(report.reasons.map(({ code }) => code));
  showWarnings(element("reasons"), [...report.reasons, ...report.warnings.filter(({ code }) => !told.has(code))]);
  faces.onload = () => (faces.hidden = false);
  faces.src = element("faces-link").href = picture;
  announce(`Verdict: ${report.verdict}.`);
}
