"use strict";

const { base, review } = document.body.dataset;
const grid = document.getElementById("grid");
const panel = document.getElementById("panel");
const filters = document.getElementById("filters");
const search = document.getElementById("search");
const status = document.getElementById("status");
const reviewer = document.getElementById("reviewer");
const HOVER_MS = 120, STATUS_MS = 5000;

let current = null, opening = false, inSync = [], openedAt = 0, statusTimer = 0, countsTimer = 0;
const done = [];  // the decisions of this page, for undo

const tiles = () => [...grid.querySelectorAll(".tile")];
const rowOf = (tile) => [...tile.closest(".prompt").querySelectorAll(".tile")];
const isStored = (tile) => Boolean(tile && tile.dataset.video);
const find = (set, partition) =>
  tiles().find((tile) => tile.dataset.set === set && tile.dataset.partition === partition) || null;

function say(text) {
  status.textContent = text;
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => { status.textContent = ""; }, STATUS_MS);
}

async function fetchText(path) {
  const reply = await fetch(base + path).catch(() => null);
  if (!reply?.ok) throw new Error(await problemOf(reply));
  return reply.text();
}

// Filters: the page is loaded again, so that the back button and links work.

async function loadFacets() {
  try {
    const html = await fetchText(`/facets?${filters.dataset.query}`);
    filters.innerHTML = html;  // made by the server, everything in it escaped
    document.getElementById("counts").replaceChildren(...document.getElementById("summary").children);
  } catch (error) {
    say(error.message);
  }
}

function applyFilters() {
  const fields = [...new FormData(filters)].filter(([, value]) => value !== "");
  if (!fields.some(([name]) => name === "set")) {
    location.search = new URLSearchParams(fields.filter(([name]) => name !== "tag"));
  } else {
    location.search = new URLSearchParams(fields);
  }
}

filters.addEventListener("change", applyFilters);
filters.addEventListener("submit", (event) => { event.preventDefault(); applyFilters(); });
search.addEventListener("change", applyFilters);

// Pages: older videos are added when the end comes into sight.

const atEnd = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) loadMore(entry.target);
}, { root: grid, rootMargin: "600px" });

async function loadMore(link) {
  atEnd.unobserve(link);
  try {
    const page = document.createElement("template");
    page.innerHTML = await fetchText(`/tiles?${link.dataset.more}`);
    link.closest(".more").remove();
    const known = new Set([...grid.querySelectorAll(".prompt")].map((row) => row.dataset.prompt));
    for (const row of page.content.querySelectorAll(".prompt")) if (known.has(row.dataset.prompt)) row.remove();
    grid.append(page.content);
    watchEnd();
  } catch (error) {
    say(error.message);
  }
}

function watchEnd() {
  const link = grid.querySelector("[data-more]");
  if (link) atEnd.observe(link);
}

// Playing: on hover, in the panel, and the takes of a prompt in sync.

function preview(tile) {
  if (!isStored(tile) || tile.querySelector("video")) return null;
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, src: tile.dataset.video });
  tile.querySelector(".picture").append(video);
  return video;
}

function endPreview(tile) {
  const video = tile.querySelector(".picture video");
  if (!video) return;
  video.removeAttribute("src");
  video.load();
  video.remove();
}

/** Play the preview of a tile; if it cannot be played, remove it, unless another one has replaced it. */
function playPreview(tile) {
  const video = preview(tile);
  video?.play().catch(() => { if (video.isConnected) endPreview(tile); });
}

let hovering = 0;
grid.addEventListener("pointerover", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || tile.contains(event.relatedTarget) || inSync.includes(tile)) return;
  clearTimeout(hovering);
  hovering = setTimeout(() => playPreview(tile), HOVER_MS);
});
grid.addEventListener("pointerout", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || tile.contains(event.relatedTarget) || inSync.includes(tile)) return;
  clearTimeout(hovering);
  endPreview(tile);
});

async function playInSync() {
  if (inSync.length) {
    for (const tile of inSync) endPreview(tile);
    inSync = [];
    return;
  }
  const takes = current ? rowOf(current).filter(isStored) : [];
  if (!takes.length) return;
  for (const tile of takes) endPreview(tile);
  inSync = takes;
  const videos = takes.map(preview);
  await playTogether(videos);
  say(`${takes.length} takes play in sync. Press c to stop.`);
}

function togglePlayer() {
  const video = panel.querySelector("video");
  if (video) video.paused ? video.play().catch(() => {}) : video.pause();
}

// The panel.

function select(tile, { open = true } = {}) {
  if (!tile) return;
  if (current) current.removeAttribute("aria-current");
  current = tile;
  tile.setAttribute("aria-current", "true");
  tile.scrollIntoView({ block: "nearest" });
  tile.querySelector(".picture").focus({ preventScroll: true });
  if (open) openClip(tile);
}

async function openClip(tile) {
  const serial = ++openedAt;
  const { set, partition } = tile.dataset;
  try {
    const html = await fetchText(`/clip?${new URLSearchParams({ set, clip: partition })}`);
    if (serial !== openedAt) return;
    panel.innerHTML = html;  // made by the server, everything in it escaped
    panel.hidden = false;
    watchPlayer();
  } catch (error) {
    say(error.message);
  }
}

function watchPlayer() {
  const video = panel.querySelector("video");
  video?.addEventListener("error", () => {
    video.hidden = true;
    panel.querySelector(".unplayable").hidden = false;
  });
}

function move(step) {
  const all = tiles();
  const at = all.indexOf(current);
  select(all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)]);
}

grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (!tile || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  select(tile);
});
panel.addEventListener("click", (event) => {
  const button = event.target.closest("[data-action]");
  if (button) decide(button.dataset.action);
});
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  send("note", [opened()], new FormData(event.target).get("note")).then(() => { event.target.hidden = true; });
});

// Verdicts.

/** Return the clip in the panel, if it has a video. */
function opened() {
  const article = panel.querySelector("article");
  return article && article.dataset.sha256 ? article : null;
}

/** Return the video that a key acts on: the marked tile, or a clip whose tile is not on this page. */
function subject() {
  if (current) return isStored(current) ? current : null;
  return opened();
}

async function send(action, subjects, note = "") {
  const { set } = subjects[0].dataset;
  const seen = Object.fromEntries(subjects.map((clip) => [clip.dataset.partition, clip.dataset.sha256]));
  const name = reviewer.value.trim();
  if (!name) { say("Say who you are first: write your name at the bottom right."); reviewer.focus(); return false; }
  const reply = await fetch(`${base}/verdicts`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Seedance-Gallery": "1" },
    body: JSON.stringify({ action, prompt_set: set, seen, reviewer: name, note }),
  }).catch(() => null);
  if (!reply?.ok) { say(await problemOf(reply)); return false; }
  const answer = await reply.json();
  for (const [partition, { verdict }] of Object.entries(answer.verdicts)) show(find(set, partition), verdict);
  const summary = Object.entries(answer.verdicts).map(([partition, { verdict }]) => `${partition}: ${verdict}`).join(", ");
  say(answer.others ? `${summary}. ${answer.others}.` : summary);
  if (action !== "undo") done.push(Object.keys(seen).filter((partition) => partition in answer.verdicts).map(
    (partition) => ({ dataset: { set, partition, sha256: seen[partition] } })));
  clearTimeout(countsTimer);
  countsTimer = setTimeout(loadFacets, 400);
  return true;
}

function show(tile, verdict) {
  if (!tile) return;
  tile.dataset.verdict = verdict;
  tile.querySelector(".verdict").textContent = verdict === "undecided" ? "" : verdict;
}

async function decide(action) {
  if (!review) { say("This gallery is read-only: start it with --review to give verdicts."); return; }
  if (action === "undo") {
    const last = done.pop() || [subject()].filter(Boolean);
    if (last.length && await send("undo", last)) select(find(last[0].dataset.set, last[0].dataset.partition) || current);
    return;
  }
  const clip = subject();
  if (!clip) { say("There is no video to judge here."); return; }
  if (action === "note") {
    await openNote(clip);
    return;
  }
  if (await send(action, [clip])) next(clip);
}

async function openNote(clip) {
  const shown = opened();
  if (!shown || shown.dataset.partition !== clip.dataset.partition || shown.dataset.set !== clip.dataset.set) {
    opening = true;  // keys typed meanwhile are meant for the note, not as verdicts
    await openClip(clip);
    opening = false;
  }
  const form = document.getElementById("note");
  if (form) { form.hidden = false; form.querySelector("textarea").focus(); }
}

/** Select the next video to review. */
function next(clip) {
  const all = tiles();
  const at = all.indexOf(find(clip.dataset.set, clip.dataset.partition));
  const open = all.slice(at + 1).find((tile) => isStored(tile) && tile.dataset.verdict === "undecided");
  select(open || all[at] || null);
}

async function choose(number) {
  if (!review || !current) { decide("note"); return; }
  const takes = rowOf(current).filter(isStored);
  const chosen = takes.find((tile) => Number(tile.dataset.take) === number);
  if (!chosen) { say(`Take ${number} of this prompt has no video.`); return; }
  const last = takes[takes.length - 1];
  if (await send("choose", [chosen, ...takes.filter((tile) => tile !== chosen)])) next(last);
}

// Keys.

const KEYS = {
  j: () => move(1), ArrowRight: () => move(1), ArrowDown: () => move(1),
  k: () => move(-1), ArrowLeft: () => move(-1), ArrowUp: () => move(-1),
  " ": togglePlayer, c: playInSync, "/": () => search.focus(),
  a: () => decide("accept"), x: () => decide("discard"), u: () => decide("undo"), n: () => decide("note"),
};

document.addEventListener("keydown", (event) => {
  if (opening || event.ctrlKey || event.metaKey || event.altKey) return;
  const writing = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    if (writing) event.target.blur(); else panel.hidden = true;
    return;
  }
  if (writing || (event.target.closest("button, video") && event.key === " ")) return;
  const action = /^[1-9]$/.test(event.key) ? () => choose(Number(event.key)) : KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

if (reviewer) {
  reviewer.value = localStorage.getItem("seedance-reviewer") || reviewer.value;
  reviewer.addEventListener("change", () => localStorage.setItem("seedance-reviewer", reviewer.value.trim()));
}
loadFacets();
watchEnd();
watchPlayer();
{
  const clip = panel.querySelector("article");
  if (clip) select(find(clip.dataset.set, clip.dataset.partition), { open: false });
}
