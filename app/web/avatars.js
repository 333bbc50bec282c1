// The gallery: choose an avatar, make one of a video, delete one.

import { follow, getJson, media, problem, remove, upload } from "./api.js";
import { check, clearCheck } from "./check.js";
import { acceptFiles, announce, ask, clone, duration, element, isNone, keep, pace, setBar, shared, showProblem, showWarnings, size, tell } from "./ui.js";

const MANY = 6; // more avatars are counted, and can be searched

const gallery = element("gallery");
const form = element("new-avatar");
let avatars = [];
let chosen = null;
let missed = false; // whether the service could not be asked for its avatars

export function wire() {
  acceptFiles(form, element("video-file"), choose);
  form.addEventListener("submit", submit);
  form.addEventListener("reset", () => choose(null));
  form.addEventListener("keydown", ({ key }) => {
    if (key === "Escape" && chosen) form.reset();
  });
  element("use-once").addEventListener("click", useOnce);
  element("check").addEventListener("click", () => check(asked()));
  element("behind").addEventListener("change", showPicture);
  element("sought").addEventListener("input", sift);
  document.addEventListener("visibilitychange", () => document.hidden || load()); // another tab may have made some
  gallery.addEventListener("change", (event) => {
    showProblem(element("avatars-problem"), null);
    select(event.target.value);
  });
  shared.addEventListener("limits", () => {
    const { limits } = shared;
    const words = `Up to ${duration(limits.max_video_seconds)} and ${size(limits.max_upload_bytes)}.`;
    element("video-limits").textContent = words;
    if (missed) load();
  });
}

export async function load() {
  missed = false;
  try {
    await refresh();
    const { jobs } = await getJson("v1/jobs?limit=50");
    const pending = new Set([...element("pending").children].map((card) => card.querySelector(".name").textContent));
    const begun = jobs.filter((job) => job.kind === "avatar" && !job.finished_at && !pending.has(job.avatar_id));
    for (const job of begun) pend(job.avatar_id, job);
  } catch {
    missed = true;
  }
}

async function refresh(wanted = shared.avatar?.id) {
  avatars = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await getJson(`v1/avatars?limit=1000${cursor && `&cursor=${cursor}`}`);
    avatars.push(...page.avatars);
    cursor = page.next_cursor;
  }
  const before = [...gallery.children];
  keep(gallery, avatars.toReversed(), build, fill);
  sift();
  for (const card of before) if (!card.isConnected) card.picture.then(URL.revokeObjectURL);
  if (shared.clip) return; // a video that is used once stays chosen
  select(avatars.some((avatar) => avatar.id === wanted) ? wanted : avatars.at(-1)?.id);
}

// Show the avatars whose name has what is looked for.
function sift() {
  const [few, field] = [avatars.length <= MANY, element("sought")];
  if (few) field.value = "";
  const sought = field.value.trim().toLowerCase();
  for (const card of gallery.children) card.hidden = !card.item.id.includes(sought);
  element("find").hidden = few;
  const shown = avatars.filter(({ id }) => id.includes(sought)).length;
  element("count").textContent = sought ? `${shown} of ${avatars.length}` : `${avatars.length} avatars`;
}

function build(avatar) {
  const card = clone("avatar-card");
  const [radio, picture, name, button] = card.querySelectorAll("input, img, .name, button");
  radio.value = name.textContent = avatar.id;
  picture.alt = `${avatar.id}: a frame with the face and the mouth marked`;
  button.setAttribute("aria-label", `Delete ${avatar.id}`);
  button.addEventListener("click", () => erase(avatar.id));
  return card;
}

// What another avatar that was made under the name of one that was deleted may have otherwise.
function fill(card, avatar) {
  const [picture, hint] = card.querySelectorAll("img, .hint");
  const seconds = avatar.duration < 10 ? avatar.duration : Math.round(avatar.duration);
  const length = avatar.frame_count === 1 ? "photo" : duration(seconds);
  hint.textContent = `${avatar.width}×${avatar.height} · ${length}`;
  const path = `${avatar.links.preview}?made=${Date.parse(avatar.created_at)}`; // a page keeps the picture of an address
  if (card.path !== path) {
    card.picture?.then(URL.revokeObjectURL);
    card.picture = media(path).catch(() => "");
    card.picture.then((source) => {
      if (card.path === path) picture.src = source;
    });
  }
  card.path = path;
  avatar.picture = card.picture;
}

// The video is sent with the sound, and no avatar is kept under a name.
function useOnce() {
  const options = Object.fromEntries([...asked()].filter(([name]) => name !== "id" && name !== "video"));
  const clip = { file: chosen, options };
  choose(null);
  select(null);
  shared.clip = clip;
  element("once").textContent = `${clip.file.name} is used once and not kept as an avatar.`;
  element("once").hidden = false;
  tell("avatar");
}

function select(id) {
  shared.clip = null;
  element("once").hidden = true;
  for (const card of gallery.children) {
    const [radio, button] = card.querySelectorAll("input, button");
    radio.checked = radio.value === id;
    button.tabIndex = radio.checked ? 0 : -1; // of forty avatars, Tab stops at the chosen one alone
  }
  shared.avatar = avatars.find((avatar) => avatar.id === id) ?? null;
  showWarnings(element("avatar-warnings"), shared.avatar?.warnings ?? []);
  tell("avatar");
}

const complain = ({ message }) => showProblem(element("avatars-problem"), message);

async function erase(id) {
  const text = "Its footage and everything prepared from it are deleted. Finished renders stay.";
  if (!(await ask(`Delete ${id}?`, text))) return;
  const fault = await remove(`v1/avatars/${id}`).then(
    () => "",
    (error) => (error.status === 404 ? "" : error.message), // it is gone already
  );
  showProblem(element("avatars-problem"), fault);
  await refresh().catch(() => {});
  if (fault) return;
  announce(`${id} was deleted.`);
  element("video-file").focus();
}

const showPicture = () => (element("picture").hidden = element("behind").value !== "picture");

// What is asked for, as the service takes it.
function asked() {
  const data = new FormData(form);
  const [behind, picture] = [element("behind").value, element("picture-file").files[0]];
  if (behind === "picture" && picture) data.append("background", picture);
  else if (behind !== "picture" && behind) data.append("background", behind);
  data.append("video", chosen);
  return data;
}

function choose(file) {
  const other = isNone(file, "video", "image");
  showProblem(element("avatars-problem"), other ? `${file.name} is neither a video nor a photo.` : null);
  if (other) return;
  chosen = file;
  clearCheck();
  showPicture();
  form.querySelector(".fields").hidden = !file;
  if (!file) return element("video-file").focus(); // where the form was begun
  element("video-name").textContent = `${file.name}, ${size(file.size)}`;
  element("avatar-id").value = freeName(file.name);
  element("avatar-id").select();
}

function freeName(filename) {
  const plain = filename.replace(/\.[^.]*$/, "").toLowerCase().replace(/[^a-z0-9]+/g, "-");
  const base = plain.replace(/^-+|-+$/g, "").slice(0, 55) || "avatar";
  let name = base;
  for (let n = 2; avatars.some((avatar) => avatar.id === name); n += 1) name = `${base}-${n}`;
  return name;
}

function submit(event) {
  event.preventDefault();
  const data = asked();
  choose(null);
  pend(data.get("id"), null, data);
}

// Show an avatar in the making: from the upload on, or, after a reload, from its job on.
async function pend(id, job, data) {
  const card = clone("pending-card");
  const [bar, hint, button, again] = ["progress", ".hint", ".quiet", ".again"].map((part) => card.querySelector(part));
  const controller = new AbortController();
  card.querySelector(".name").textContent = id;
  bar.setAttribute("aria-label", `Creating ${id}`);
  element("pending").prepend(card);
  button.addEventListener("click", async () => {
    controller.abort();
    card.remove();
    if (job && !job.finished_at) await remove(`v1/jobs/${job.id}`).catch(complain);
    tell("jobs");
  });
  again.addEventListener("click", () => {
    card.remove();
    choose(data.get("video"));
    element("avatar-id").value = id;
  });
  try {
    const onProgress = (sent) => {
      setBar(bar, sent);
      hint.textContent = `Uploading, ${Math.round(100 * sent)} %`;
    };
    job ??= await upload("v1/avatars", data, onProgress, controller.signal);
    tell("jobs");
    for await (job of follow(job.id, controller.signal)) {
      setBar(bar, job.progress.fraction);
      hint.textContent = job.state === "queued" ? "Queued" : pace(job.progress);
    }
    if (job.error) throw problem(job.error.detail);
    card.remove();
    element("sought").value = "";
    await refresh(id);
    announce(job.state === "succeeded" ? `${id} is ready.` : `${id} was canceled.`);
  } catch (error) {
    if (controller.signal.aborted) return;
    bar.hidden = hint.hidden = true;
    again.hidden = Boolean(job);
    button.textContent = "Dismiss";
    showProblem(card.querySelector(".problem"), error.message);
  } finally {
    tell("jobs");
  }
}
