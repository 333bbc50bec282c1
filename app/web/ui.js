// Small things that every part of the page uses: elements, words for numbers, dialogs, what is chosen.

/** @type {(id: string) => any} An element of whatever kind the page has under this id. */
export const element = (id) => document.getElementById(id);
export const clone = (templateId) => element(templateId).content.firstElementChild.cloneNode(true);

// What the parts of the page know of each other; an event of the same name tells that it has changed.
export const shared = Object.assign(new EventTarget(), { limits: null, avatar: null, clip: null, speech: null });
export const tell = (name) => shared.dispatchEvent(new Event(name));

export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  return `${clock(seconds).replace(/:00$/, "")} min`;
}

export function size(bytes) {
  const power = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return `${Number((bytes / 1000 ** power).toFixed(1))} ${["bytes", "kB", "MB", "GB"][power]}`;
}

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : new Date(time).toLocaleDateString();
}

// A job's progress in words: frames, speed, time left.
export function pace({ frames_done, frames_total, fps, eta_seconds }) {
  const parts = frames_total ? [`${frames_done} of ${frames_total} frames`] : ["Starting"];
  if (frames_total && frames_done >= frames_total) return [...parts, "finishing"].join(" · ");
  if (fps) parts.push(`${fps < 10 ? fps.toFixed(1) : Math.round(fps)} fps`);
  if (eta_seconds !== null) parts.push(`about ${duration(Math.ceil(eta_seconds))} left`);
  return parts.join(" · ");
}

export function setBar(bar, fraction) {
  if (fraction) bar.value = fraction;
  else bar.removeAttribute("value");
}

export function showProblem(paragraph, sentence) {
  paragraph.hidden = !sentence;
  paragraph.textContent = sentence ?? "";
}

export function showWarnings(list, warnings) {
  list.replaceChildren(
    ...warnings.map(({ detail }) => Object.assign(document.createElement("li"), { textContent: detail })),
  );
}

// Who speaks in a render: an avatar, or the person in a video that was sent with the sound.
export const speaker = (job) => job.video_filename ?? job.avatar_id;

export const announce = (text) => (element("live").textContent = text);
// Show a dialog until it is closed; whether that was by its yes.
export function consent(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Ask before something is lost.
export function ask(title, text) {
  element("ask-title").textContent = title;
  element("ask-text").textContent = text;
  return consent(element("ask"));
}

// Show one child for each item. Children are kept and filled anew, so that the focus stays where it is.
export function keep(list, items, make, fill) {
  const old = new Map([...list.children].map((child) => [child.item.id, child]));
  items.forEach((item, place) => {
    const child = old.get(item.id) ?? make(item);
    old.delete(item.id);
    child.item = item;
    fill(child, item);
    if (list.children[place] !== child) list.insertBefore(child, list.children[place] ?? null);
  });
  for (const child of old.values()) child.remove();
}

// Whether the browser knows a file to be of another kind than these; what it does not know, the service tells.
export function isNone(file, ...kinds) {
  const [kind] = file?.type.split("/") ?? [""];
  return ["audio", "video", "image", "text"].includes(kind) && !kinds.includes(kind);
}

export function acceptFiles(zone, input, onFile) {
  zone.addEventListener("dragover", () => zone.classList.add("over"));
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => event.dataTransfer.files[0] && onFile(event.dataTransfer.files[0]));
  input.addEventListener("change", () => {
    if (input.files[0]) onFile(input.files[0]);
    input.value = "";
  });
}
