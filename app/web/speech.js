// The speech: recorded, picked or written; sound is seen as a waveform and heard before it is used.

import { acceptFiles, announce, clock, duration, element, isNone, shared, showProblem, size, tell } from "./ui.js";

const DRAWABLE_BYTES = 50e6; // to draw it, it is decoded: more would take too much of the browser's memory
const BARS = 160;
const NO_MICROPHONE = "The microphone is not available. Allow it in the browser, which works on https and localhost only, or drop a file.";

const [button, canvas, player, trouble] = ["record", "waveform", "player", "speech-problem"].map(element);
let recorder = null;
let peaks = [];

export function wire() {
  acceptFiles(element("speech-drop"), element("sound-file"), take);
  button.addEventListener("click", () => (recorder ? recorder.stop() : record()));
  const limit = () => (element("sound-limits").textContent = `Up to ${duration(shared.limits.max_audio_seconds)}.`);
  shared.addEventListener("limits", limit);
  for (const name of ["text", "voice"]) element(name).addEventListener("input", write);
  player.addEventListener("timeupdate", draw);
  new ResizeObserver(draw).observe(canvas);
}

// What is written takes the place of a sound, and a sound that of what is written.
function write() {
  const text = element("text").value.trim();
  player.pause();
  element("heard").hidden = true;
  showProblem(trouble, null);
  shared.speech = text ? { text, voice: element("voice").value.trim() } : null;
  tell("speech");
}

async function take(file) {
  const other = isNone(file, "audio", "video");
  showProblem(trouble, other ? `${file.name} has no sound: choose an audio file, or a video with sound.` : null);
  if (other) return;
  element("text").value = "";
  URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(file);
  const sound = file.size <= DRAWABLE_BYTES ? await decode(file) : null;
  const seconds = sound?.duration;
  const limit = shared.limits?.max_audio_seconds;
  peaks = sound ? loudness(sound) : [];
  element("heard").hidden = false;
  canvas.hidden = !sound;
  canvas.setAttribute("aria-label", `Waveform of ${file.name}`);
  element("sound-name").textContent = file.name;
  element("sound-length").textContent = (seconds ? `${duration(seconds)}, ` : "") + size(file.size);
  const tooLong = seconds > limit && `The audio is ${duration(seconds)} long; the limit is ${duration(limit)}.`;
  showProblem(trouble, tooLong || null);
  shared.speech = tooLong ? null : file;
  tell("speech");
  draw();
}

async function decode(file) {
  return new OfflineAudioContext(1, 1, 16000).decodeAudioData(await file.arrayBuffer()).catch(() => null);
}

function loudness(sound) {
  const samples = sound.getChannelData(0);
  const edges = Array.from({ length: BARS + 1 }, (_, bar) => Math.floor((bar * samples.length) / BARS));
  const found = edges.slice(1).map((end, bar) => {
    let peak = 0;
    for (let i = edges[bar]; i < end; i += 1) peak = Math.max(peak, Math.abs(samples[i]));
    return peak;
  });
  const loudest = Math.max(...found, 0.01);
  return found.map((peak) => peak / loudest);
}

function draw() {
  const scale = window.devicePixelRatio;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const step = canvas.width / BARS;
  const heard = recorder ? 1 : player.currentTime / player.duration;
  peaks.forEach((peak, bar) => {
    const length = Math.max(scale * 2, peak * canvas.height * 0.94);
    pen.fillStyle = style.getPropertyValue(bar / BARS < heard ? "--accent" : "--muted");
    pen.beginPath();
    pen.roundRect(bar * step, (canvas.height - length) / 2, step * 0.6, length, step * 0.3);
    pen.fill();
  });
}

async function record() {
  const stream = await navigator.mediaDevices?.getUserMedia({ audio: true }).catch(() => null);
  showProblem(trouble, stream ? null : NO_MICROPHONE);
  if (!stream) return;
  const type = ["audio/webm;codecs=opus", "audio/mp4"].find((kind) => MediaRecorder.isTypeSupported(kind));
  recorder = new MediaRecorder(stream, { mimeType: type });
  const parts = [];
  const stopMeter = meter(stream);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    stopMeter();
    for (const track of stream.getTracks()) track.stop();
    recorder = null;
    showRecording(false);
    take(new File(parts, type.includes("webm") ? "recording.webm" : "recording.m4a", { type }));
  };
  recorder.start();
  showRecording(true);
}

function showRecording(recording) {
  button.setAttribute("aria-pressed", recording);
  element("record-label").textContent = recording ? "Stop" : "Record again";
  announce(recording ? "Recording." : "Recording stopped.");
  player.hidden = element("sound-about").hidden = recording;
  element("heard").hidden = canvas.hidden = false;
  player.pause();
}

// Draw what the microphone hears and tell the time; returns the function that ends it.
function meter(stream) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const began = performance.now();
  peaks = [];
  const timer = setInterval(() => {
    const seconds = (performance.now() - began) / 1000;
    analyser.getFloatTimeDomainData(samples);
    peaks = [...peaks, Math.min(1, Math.max(...samples.map(Math.abs)))].slice(-BARS);
    element("clock").textContent = clock(seconds);
    draw();
    if (seconds >= shared.limits?.max_audio_seconds) recorder.stop();
  }, 50);
  return () => {
    clearInterval(timer);
    context.close();
    element("clock").textContent = "";
  };
}
