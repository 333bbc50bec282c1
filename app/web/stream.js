// Play a fragmented MP4 while it arrives (Media Source Extensions).

import { chunks } from "./api.js";

const KEPT_SECONDS = 30; // what stays in the buffer behind the playhead when the browser wants room

// Resolves when the player has all of it; `onStart` is told when there is something to show. May raise.
export async function playStream(video, stream, onStart) {
  const source = new MediaSource();
  let buffer = null;
  let begin = new Uint8Array();
  for await (const chunk of chunks(stream)) {
    if (!buffer) {
      begin = new Uint8Array(await new Blob([begin, chunk]).arrayBuffer());
      const type = mediaType(begin);
      if (!type) continue;
      video.src = URL.createObjectURL(source);
      await new Promise((opened) => source.addEventListener("sourceopen", opened, { once: true }));
      URL.revokeObjectURL(video.src);
      buffer = source.addSourceBuffer(type);
      onStart();
      video.play().catch(() => {}); // a browser that wants a click first shows the controls
    }
    await append(video, buffer, begin ?? chunk);
    begin = null;
  }
  if (source.readyState === "open") source.endOfStream();
}

async function append(video, buffer, data) {
  for (;;) {
    try {
      buffer.appendBuffer(data);
      return await updated(buffer);
    } catch (error) {
      if (error.name !== "QuotaExceededError") throw error;
    }
    const end = video.currentTime - KEPT_SECONDS;
    if (end > 0) {
      buffer.remove(0, end);
      await updated(buffer);
    }
    await new Promise((resume) => setTimeout(resume, 500));
  }
}

const updated = (buffer) => new Promise((done) => buffer.addEventListener("updateend", done, { once: true }));

// The type with its codecs, once all of moov is there: three bytes of avcC name H.264's profile and level.
function mediaType(bytes) {
  const view = new DataView(bytes.buffer);
  for (let at = 0; at + 8 <= bytes.length; at += view.getUint32(at)) {
    const end = at + view.getUint32(at);
    if (text(bytes, at + 4) !== "moov" || end > bytes.length) continue;
    let mark = at;
    while (mark < end && text(bytes, mark) !== "avcC") mark += 1;
    const profile = [...bytes.slice(mark + 5, mark + 8)].map((byte) => byte.toString(16).padStart(2, "0"));
    return `video/mp4; codecs="avc1.${profile.join("")}, mp4a.40.2"`;
  }
  return null;
}

const text = (bytes, at) => String.fromCharCode(...bytes.subarray(at, at + 4));
