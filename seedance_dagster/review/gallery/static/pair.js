"use strict";

// The question is in the page's address alone: nothing here says which variant is which.
const address = new URLSearchParams(location.search);
const question = Object.fromEntries(["set", "name", "first", "second"].map((field) => [field, address.get(field)]));
const { base } = document.body.dataset;
const [leftVideo, rightVideo] = document.querySelectorAll("video");
const status = document.getElementById("status");
const done = document.getElementById("done");
const pair = document.getElementById("pair");
const reviewer = document.getElementById("reviewer");

let turn = null, round = 0, ready = false;

function say(text) { status.textContent = text; }

function nameOf() {
  const name = reviewer.value.trim();
  if (!name) { say("Say who you are first: write your name at the bottom right."); reviewer.focus(); }
  return name;
}

async function request(path, options) {
  const reply = await fetch(base + path, options).catch(() => null);
  if (reply?.ok) return reply.json();
  say(await problemOf(reply));
  return null;
}

async function begin() {
  const name = nameOf();
  if (!name) return;
  round = 1;  // if all pairs were judged before, the page says so
  const query = new URLSearchParams({ ...question, reviewer: name });
  const next = await request(`/compare/next?${query}`);
  if (next) await show(next);
}

async function show(next) {
  turn = next;
  ready = false;
  const isDone = turn.round > round;
  done.hidden = !isDone;
  pair.hidden = isDone;
  document.getElementById("left").textContent = isDone ? "" : `${turn.left} of ${turn.pairs} left`;
  if (isDone) {
    for (const video of [leftVideo, rightVideo]) video.pause();
    document.getElementById("again").focus();
    return;
  }
  document.getElementById("prompt").textContent = turn.prompt;
  [leftVideo.src, rightVideo.src] = turn.sides.map((sha256) => `${base}/compare/video/${sha256}`);
  const shown = turn;
  const plays = await playTogether([leftVideo, rightVideo]);
  if (shown !== turn) return;
  ready = plays;
  if (!plays) say("This browser cannot play a video of this pair: reload the page for another pair, or use another browser.");
}

async function answer(action) {
  const name = nameOf();
  if (!name || (action !== "undo" && (!ready || !turn))) return;
  const wasReady = ready;
  ready = false;  // one answer for each pair
  say("");
  const [left, right] = action === "undo" ? ["", ""] : turn.sides;
  const next = await request("/compare/answers", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Seedance-Gallery": "1" },
    body: JSON.stringify({ ...question, action, left, right, reviewer: name }),
  });
  if (!next) { ready = wasReady; return; }
  if (action === "undo") { say("Taken back: judge this pair again."); round = next.round; }
  await show(next);
}

function toggle() {
  const paused = leftVideo.paused;
  for (const video of [leftVideo, rightVideo]) paused ? video.play().catch(() => {}) : video.pause();
}

const KEYS = {
  ArrowLeft: () => answer("left"), 1: () => answer("left"),
  ArrowRight: () => answer("right"), 2: () => answer("right"),
  0: () => answer("none"), "=": () => answer("none"), u: () => answer("undo"), " ": toggle,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("input")) return;
  if (event.key === " " && event.target.closest("button, a")) return;
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) answer(button.dataset.action);
});
document.getElementById("again").addEventListener("click", () => { round = turn.round; show(turn); });
reviewer.value = localStorage.getItem("seedance-reviewer") || reviewer.value;
reviewer.addEventListener("change", () => {
  localStorage.setItem("seedance-reviewer", reviewer.value.trim());
  begin();
});
document.getElementById("results").addEventListener("click", () => {
  location.assign(`${base}/compare/results${location.search}`);
});
begin();
