// What was changed or doubtful of a video, and the receipt: what it is like beside the footage.

import { getJson, media } from "./api.js";
import { element, showWarnings } from "./ui.js";

const [receipt, facts, sheet] = ["receipt", "facts", "sheet"].map(element);
let job = null;

export const wireReceipt = () => receipt.addEventListener("toggle", fill);

// Offer what is known of a job that has ended well; of none, if it is null.
export function offerReceipt(ended) {
  job = ended;
  receipt.open = false;
  receipt.hidden = !job?.links.report;
  facts.replaceChildren();
  sheet.hidden = true;
  URL.revokeObjectURL(sheet.src);
  showWarnings(element("warnings"), job?.warnings ?? []);
}

async function fill() {
  if (!receipt.open || !job || facts.children.length) return;
  const asked = job;
  const rows = await getJson(job.links.report).then(describe, (error) => [["Receipt", error.message]]);
  const picture = await media(job.links.sheet).catch(() => "");
  if (job !== asked) return;
  for (const [name, value] of rows) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    text.textContent = value;
    facts.append(term, text);
  }
  sheet.onload = () => (sheet.hidden = false);
  sheet.src = element("sheet-link").href = picture;
}

function describe({ length, frames, seam, sharpness, following, model }) {
  const beside = (both, unit = "") => `${unit}${both.result.toFixed(1)} (footage: ${both.footage.toFixed(1)})`;
  const rows = [
    ["Length", `${length.video.toFixed(2)} s of video, ${length.audio.toFixed(2)} s of audio`],
    ["Mouths", `${frames.lent} from the footage, ${frames.painted} painted, ${frames.passed} unchanged`],
  ];
  if (seam) rows.push(["Seam", beside(seam, "ΔE ")]);
  if (sharpness) rows.push(["Sharpness", beside(sharpness)]);
  if (following) {
    const { correlation, lag } = following;
    const when = lag === null ? "" : `, ${Math.round(1000 * Math.abs(lag))} ms ${lag < 0 ? "early" : "late"}`;
    rows.push(["Lip sync", `correlation ${correlation.toFixed(2)}${when}`]);
  }
  return [...rows, ["Model", `${model.name}, ${model.sha256.slice(0, 12)}`]];
}
