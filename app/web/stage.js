// The video: ask for it, watch it being made, play it, keep it. Which one is shown stands in the address.

import { address, follow, getJson, hasKey, media, problem, remove, request, upload } from "./api.js";
import { offerReceipt, wireReceipt } from "./receipt.js";
import { playStream } from "./stream.js";
import { announce, duration, element, pace, setBar, shared, showProblem, showWarnings, speaker, tell } from "./ui.js";

const form = element("render");
const defaults = new FormData(form);
const [video, poster, work, done] = ["video", "poster", "work", "done"].map(element);
let shown = null; // the job on the stage; null while its speech is being uploaded
let missed = false; // whether the service could not be asked for the job that the address names
let controller = new AbortController();

export function wire() {
  wireReceipt();
  form.addEventListener("submit", submit);
  element("cancel").addEventListener("click", () => (shown ? remove(shown.links.self).catch(fail) : clear()));
  element("cancel").addEventListener("click", () => element("stage-title").focus()); // the button goes
  element("copy").addEventListener("click", copy);
  element("download").addEventListener("click", download);
  for (const name of ["avatar", "speech"]) shared.addEventListener(name, idle);
  shared.addEventListener("avatar", showPoster);
  shared.addEventListener("limits", () => missed && load());
  video.addEventListener("loadedmetadata", () => shape(video.videoWidth, video.videoHeight));
  window.addEventListener("hashchange", load);
}

// What can be asked for at the moment, or what is missing.
function idle() {
  const missing = !shared.avatar && !shared.clip ? "Choose an avatar or a video first." : !shared.speech ? "Add audio first." : "";
  form.hidden = !work.hidden;
  element("make").disabled = missing !== "";
  element("make-hint").textContent = missing;
}

async function showPoster() {
  const { avatar } = shared;
  if (!video.hidden) return;
  poster.hidden = !avatar;
  element("empty").hidden = Boolean(avatar);
  if (avatar) shape(avatar.width, avatar.height);
  if (avatar) poster.src = await avatar.picture;
}

const shape = (width, height) => (element("screen").style.aspectRatio = `${width} / ${height}`);

function clear() {
  controller.abort();
  controller = new AbortController();
  const link = element("download");
  URL.revokeObjectURL(link.href);
  link.removeAttribute("href");
  link.download = "";
  shown = null;
  missed = false;
  work.hidden = done.hidden = true;
  offerReceipt(null);
  element("stage-name").textContent = "Video";
  showProblem(element("stage-problem"), null);
  idle();
  hideVideo();
  return controller.signal;
}

function hideVideo() {
  video.pause();
  URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.hidden = true;
  showPoster();
}

function showWork(words, fraction) {
  work.hidden = false;
  element("work-state").textContent = words;
  setBar(element("bar"), fraction);
  idle();
}

async function submit(event) {
  event.preventDefault();
  const { avatar, clip, speech } = shared;
  const data = new FormData(form);
  const given = [...data].filter(([name, value]) => value !== defaults.get(name));
  const { face, background } = clip?.options ?? {};
  if (clip && face !== "largest") given.push(["face", face]);
  if (background) given.push(["background", background]);
  const who = clip ? fileField("video", clip.file) : "";
  const fields = who + speechField(speech) + given.map(field).join("");
  for (const [name, value] of Object.entries(clip?.options ?? {})) data.append(name, value);
  if (clip) data.append("video", clip.file);
  for (const [name, value] of speechParts(speech)) data.append(name, value);
  const signal = clear();
  element("stage-title").focus();
  try {
    const path = clip ? "v1/renders" : avatar.links.renders;
    const job = await upload(`${path}?stream=true`, data, (sent) => showWork("Uploading", sent), signal);
    sessionStorage.setItem(`mouthpiece.curl.${job.id}`, curl(`${clip ? "talk" : avatar.id}.mp4`, path, fields));
    location.hash = job.id;
  } catch (error) {
    fail(error);
  }
}

// Show the job that the address names.
export async function load() {
  const id = location.hash.slice(1);
  const signal = clear();
  if (!/^[a-z0-9]+$/.test(id)) return;
  try {
    shown = await getJson(`v1/jobs/${id}`);
    element("stage-name").textContent = `${speaker(shown)} speaks`;
    element("stage").scrollIntoView({ block: "nearest" });
    tell("jobs");
    if (!shown.finished_at) await watch(signal);
    if (!signal.aborted) await finish(signal);
  } catch (error) {
    if (signal.aborted) return;
    missed = !shown;
    fail(error);
  }
}

async function watch(signal) {
  const streaming = stream(signal);
  let told = 0;
  announce("Rendering.");
  for await (const job of follow(shown.id, signal)) {
    shown = job;
    const quarter = Math.floor(4 * job.progress.fraction);
    showWork(job.state === "queued" ? "Queued" : pace(job.progress), job.progress.fraction);
    if (quarter > told) announce(`${25 * quarter} percent.`);
    told = quarter;
  }
  await streaming;
}

// Play the video while it is being made; where that cannot be, it is played when it is finished.
async function stream(signal) {
  try {
    const response = await request(`${shown.links.video}?stream=true`, { signal });
    if (!response.headers.has("Content-Length")) await playStream(video, response.body, showVideo);
  } catch {
    if (!signal.aborted) hideVideo();
  }
}

function showVideo() {
  video.hidden = false;
  poster.hidden = element("empty").hidden = true;
}

async function finish(signal) {
  work.hidden = true;
  idle();
  tell("jobs");
  showWarnings(element("warnings"), shown.warnings); // of one that failed, too: they may say why
  if (shown.error) throw problem(shown.error.detail);
  if (shown.state === "canceled") throw problem("This render was canceled.");
  const source = video.src || (await media(shown.links.video));
  if (signal.aborted) return URL.revokeObjectURL(source);
  if (!video.src) video.src = source;
  showVideo();
  done.hidden = false;
  offerReceipt(shown);
  const download = await fileName(shown.links.video);
  if (signal.aborted) return;
  Object.assign(element("download"), { href: address(shown.links.video), download });
  announce(`The video is ready after ${duration((Date.parse(shown.finished_at) - Date.parse(shown.started_at)) / 1000)}.`);
}

function fail(error) {
  if (error.name === "AbortError") return;
  work.hidden = true;
  showProblem(element("stage-problem"), error.message);
  idle();
  hideVideo();
}

// What the service calls a file: its suffix tells the format.
async function fileName(path) {
  const { headers } = await request(path, { method: "HEAD" });
  return /filename="([^"]+)"/.exec(headers.get("Content-Disposition"))?.[1] ?? "";
}

// A link sends no key: with one, the video is fetched first.
async function download(event) {
  if (!hasKey() || this.href.startsWith("blob:")) return;
  event.preventDefault();
  const { signal } = controller;
  const source = await media(shown.links.video);
  if (signal.aborted) return URL.revokeObjectURL(source); // another video is shown by now
  this.href = source;
  this.click();
}

async function copy() {
  const kept = sessionStorage.getItem(`mouthpiece.curl.${shown.id}`);
  const form = element("download").download.split(".").at(-1) || "mp4";
  const command = kept ?? curl(`${shown.avatar_id}.${form}`, shown.links.video);
  if (!navigator.clipboard) return prompt("Copy this command:", command); // where there is no https
  await navigator.clipboard.writeText(command);
  announce("Command copied.");
  element("copy").textContent = "Copied";
  setTimeout(() => (element("copy").textContent = "Copy as curl"), 2000);
}

function curl(file, path, fields = "") {
  const key = hasKey() ? ` -H "Authorization: Bearer $MOUTHPIECE_KEY"` : "";
  return `curl --fail-with-body${key}${fields} -o ${file} ${address(path)}`;
}

/** @type {(speech: any) => [string, any][]} The parts of the form: a file, or a text and who says it. */
const speechParts = (speech) => (speech instanceof File ? [["audio", speech]] : Object.entries(speech));
const word = (text) => `'${text.replaceAll("'", `'\\''`)}'`; // a shell takes it as one, whatever is in it

const field = ([name, value]) => (value instanceof File ? fileField(name, value) : ` -F ${name}=${value}`);
const fileField = (field, file) => ` -F ${word(`${field}=@"${file.name.replace(/["\\]/g, "\\$&")}"`)}`;

// curl reads it as the name of a file, or as text, whatever is in it.
function speechField(speech) {
  if (speech instanceof File) return fileField("audio", speech);
  const given = speechParts(speech).filter(([, value]) => value);
  return given.map(([name, value]) => ` --form-string ${word(`${name}=${value}`)}`).join("");
}
