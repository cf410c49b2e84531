// Live results: follows the events of one election, and puts their figures into the table. Without
// it the page shows the figures of the time at which it was loaded.

const page = document.querySelector("[data-events]");
const said = document.querySelector("[data-said]");
const mark = document.querySelector("[data-live]");
const lang = document.documentElement.lang === "fr" ? "fr-CA" : "en-CA";
const counts = new Intl.NumberFormat(lang);
const shares = new Intl.NumberFormat(lang, {
  style: "percent",
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

let version = Number(page.dataset.version);
let isLost = false;
let saidAt = 0;
// What a lost connection means: the node said that it stops, or nothing.
let isAway = false;

// Rounded down, as the server does.
const share = (part, whole) => (whole > 0 ? Math.floor((part * 10000) / whole) / 10000 : 0);

const put = (selector, text) => {
  for (const element of page.querySelectorAll(selector)) element.textContent = text;
};

const bar = (selector, part, whole) => {
  const rect = page.querySelector(selector);
  if (rect) rect.setAttribute("width", `${share(part, whole) * 100}%`);
};

// A reader hears of changes at most every half minute.
const say = (text, now = Date.now()) => {
  said.textContent = text;
  saidAt = now;
};

const show = (update) => {
  if (update.state !== page.dataset.state) {
    // Another state has other sentences, and perhaps other rules on what is shown. Spread, so that
    // thousands of readers do not ask at once.
    source.close();
    setTimeout(() => location.reload(), 2000 + Math.random() * 6000);
    return;
  }
  for (const name of ["received", "accepted", "duplicate", "invalid", "registered"]) {
    put(`[data-figure=${name}]`, counts.format(update[name]));
  }
  const turnout = share(update.accepted, update.registered);
  put("[data-figure=turnout]", shares.format(turnout));
  bar("[data-bar=turnout]", update.accepted, update.registered);
  if (!update.counts) return;
  const total = update.counts.reduce((sum, { count }) => sum + count, 0);
  for (const { id, count } of update.counts) {
    const name = CSS.escape(id);
    put(`[data-count=${name}]`, counts.format(count));
    put(`[data-share=${name}]`, shares.format(share(count, total)));
    bar(`[data-bar=choice-${name}]`, count, total);
  }
  put("[data-figure=total]", counts.format(total));
};

const take = (event) => {
  const update = JSON.parse(event.data);
  if (update.version < version) return;
  const isNew = update.version > version;
  version = update.version;
  show(update);
  if (isNew && Date.now() - saidAt > 30000) say(mark.dataset.changed);
};

const lose = () => {
  let text = isAway ? mark.dataset.away : mark.dataset.lost;
  if (!navigator.onLine) text = mark.dataset.offline;
  if (isLost && mark.textContent === text) return;
  isLost = true;
  mark.classList.add("lost");
  mark.textContent = text;
  say(text);
};

const restore = () => {
  isAway = false;
  if (!isLost) return;
  isLost = false;
  mark.classList.remove("lost");
  mark.textContent = mark.dataset.live;
  say(mark.dataset.back);
};

let source;
let retry = 1000;
const follow = () => {
  source = new EventSource(page.dataset.events);
  // A reader whose version is the latest gets nothing before the next change.
  source.addEventListener("open", () => {
    retry = 1000;
    restore();
  });
  source.addEventListener("snapshot", (event) => {
    // The node may have started again from an earlier block.
    version = Math.min(version, JSON.parse(event.data).version);
    take(event);
  });
  source.addEventListener("update", take);
  // The browser comes back by itself, with the version that it has (`Last-Event-ID`).
  source.addEventListener("bye", (event) => {
    isAway = JSON.parse(event.data).reason === "stopping";
  });
  source.addEventListener("error", () => {
    lose();
    // The browser tries again by itself, unless the server refused.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(follow, retry);
      retry = Math.min(retry * 2, 30000);
    }
  });
};

window.addEventListener("offline", lose);

mark.hidden = false;
for (const note of document.querySelectorAll("[data-without-live]")) note.hidden = true;
follow();
