// The list of recent jobs; it looks again after every change, and now and then.

import { getJson, remove } from "./api.js";
import { ago, ask, clone, element, keep, shared, showProblem, speaker, tell } from "./ui.js";

const WORDS = { queued: "Queued", running: "Running", succeeded: "Done", failed: "Failed", canceled: "Canceled" };
const READING = 15000; // how long a problem stays at least, milliseconds
let timer = 0;
let readUntil = 0;

export function wire() {
  const again = () => load().catch(({ status }) => status === 401 || tell("lost"));
  shared.addEventListener("jobs", again);
  document.addEventListener("visibilitychange", again);
  window.addEventListener("hashchange", again);
}

export async function load() {
  clearTimeout(timer);
  if (document.hidden) return;
  let pause = 15000;
  try {
    const { jobs } = await getJson("v1/jobs?limit=12");
    keep(element("job-list"), jobs, build, fill);
    element("no-jobs").hidden = jobs.length > 0;
    if (Date.now() > readUntil) showProblem(element("jobs-problem"), "");
    if (jobs.some((job) => !job.finished_at)) pause = 1500;
  } catch (error) {
    if (error.status === 401) pause = null; // nobody is asked for a key again who gave none
    throw error;
  } finally {
    clearTimeout(timer);
    if (pause) timer = setTimeout(() => tell("jobs"), pause);
  }
}

function build() {
  const row = clone("job-row");
  row.querySelector("button").addEventListener("click", () => end(row.item));
  return row;
}

function fill(row, job) {
  const [badge, name, time, button, detail] = row.children;
  const percent = job.state === "running" && Math.floor(100 * job.progress.fraction);
  badge.textContent = percent ? `${percent} %` : WORDS[job.state];
  badge.className = `badge ${job.state}`;
  name.textContent = `${about(job)}, ${job.filename}`;
  if (job.kind === "render") name.href = `#${job.id}`;
  time.textContent = ago(job.created_at);
  time.dateTime = job.created_at;
  button.textContent = job.finished_at ? "Delete" : "Cancel";
  button.setAttribute("aria-label", `${button.textContent}: ${name.textContent}, ${time.textContent}`);
  detail.textContent = job.error?.detail ?? "";
  row.setAttribute("aria-current", location.hash === `#${job.id}`);
}

function about(job) {
  if (job.kind === "check") return "Check";
  return job.kind === "render" ? `${speaker(job)} speaks` : `New avatar ${job.avatar_id}`;
}

async function end(job) {
  const kept = job.kind === "render" && job.state === "succeeded";
  if (kept && !(await ask("Delete this video?", "It is removed from the service. Your downloads stay."))) return;
  const fault = await remove(job.links.self).then(
    () => "",
    (error) => (error.status === 404 ? "" : error.message), // it is gone already
  );
  showProblem(element("jobs-problem"), fault);
  readUntil = Date.now() + READING;
  tell("jobs");
  if (fault || !job.finished_at) return;
  if (location.hash === `#${job.id}`) location.hash = "";
  element("jobs-title").focus(); // the row and its button go
}
