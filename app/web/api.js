// The HTTP API, as the page needs it: problems as errors, the key, uploads with progress, events, media.

import { consent, element, shared, size, tell } from "./ui.js";

const KEY = "mouthpiece.key";

export const address = (path) => new URL(path.replace(/^\//, ""), document.baseURI).href;
export const hasKey = () => sessionStorage.getItem(KEY) !== null;
export const problem = (detail, status = 0) => Object.assign(new Error(detail), { status });

export const request = (path, given = {}) => withKey((headers) => fetch(address(path), { ...given, headers }));
export const getJson = async (path) => (await request(path)).json();
export const remove = (path) => request(path, { method: "DELETE" });

// Send a form and return the job that it became. XMLHttpRequest tells how much has been sent; fetch does not.
export async function upload(path, form, onProgress, signal) {
  const limit = shared.limits?.max_upload_bytes;
  const large = [...form.values()].find((value) => value.size > limit);
  if (large) throw problem(`The file is ${size(large.size)}; the limit is ${size(limit)}.`, 413);
  const response = await withKey((headers) => post(address(path), form, headers, onProgress, signal));
  return response.json();
}

// Yield a job now and whenever it has changed, to its end. A connection that is lost is made again, and so is
// one that a proxy or a busy service refuses for now.
export async function* follow(jobId, signal) {
  for (;;) {
    try {
      const response = await request(`v1/jobs/${jobId}/events`, { signal });
      for await (const { event, data } of events(response.body)) {
        yield data;
        if (event === "end") return;
      }
    } catch (error) {
      if (signal.aborted || (error.status && ![502, 503, 504].includes(error.status))) throw error;
    }
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

// What an <img> or <video> can load: they send no headers, so that with a key it is a blob.
export async function media(path) {
  return hasKey() ? URL.createObjectURL(await (await request(path)).blob()) : address(path);
}

export async function* chunks(stream) {
  const reader = stream.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function withKey(attempt) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const response = await attempt(key === null ? {} : { Authorization: `Bearer ${key}` }).catch((error) => {
      if (error.name === "AbortError") throw error;
      throw problem("The service does not respond. Check that it is running and that the network is up.");
    });
    if (response.ok) return response;
    const [{ status }, { detail }] = [response, await response.json().catch(() => ({}))];
    if (status !== 401) throw problem(detail ?? `The service answered with status ${status}.`, status);
    await askForKey(key);
  }
}

function post(url, form, headers, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", url);
    for (const pair of Object.entries({ Prefer: "respond-async", ...headers })) xhr.setRequestHeader(...pair);
    xhr.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    xhr.onload = () => resolve(new Response(xhr.responseText, { status: xhr.status }));
    xhr.onerror = () => reject(new TypeError("The connection failed."));
    xhr.onabort = () => reject(new DOMException("Canceled", "AbortError"));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

async function* events(body) {
  let text = "";
  for await (const chunk of chunks(body.pipeThrough(new TextDecoderStream()))) {
    const blocks = (text + chunk).split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split(/\r?\n/).map((line) => line.split(/: ?(.*)/s)));
      if (fields.data) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

let asking = null;

// Ask once, however many requests were refused at the same time; `refused` is the key that they sent.
async function askForKey(refused) {
  if (sessionStorage.getItem(KEY) !== refused) return;
  asking ??= showKeyDialog(refused).finally(() => (asking = null));
  await asking;
}

async function showKeyDialog(refused) {
  element("key-text").textContent = refused === null ? "This service needs an API key." : "The service did not accept this key.";
  element("key-value").value = "";
  if (!(await consent(element("key")))) throw problem("The service needs an API key: reload the page to enter it.", 401);
  sessionStorage.setItem(KEY, element("key-value").value.trim());
  tell("key");
}
