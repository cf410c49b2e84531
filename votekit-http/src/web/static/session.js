// The end of a session: a warning two minutes before, and one press to extend it. The warning is a
// dialog that leaves the page in use: it takes the focus once, and gives it back. Every page renews
// the session, so the pages of one browser share the time of its end.

const warning = document.querySelector("[data-session-seconds]");
const title = document.getElementById("session-warning");
const left = document.getElementById("session-left");
const status = document.querySelector("[data-session-status]");
const failed = warning.querySelector("[data-session-failed]");
const button = warning.querySelector("[data-session-button]");
const dismiss = warning.querySelector("[data-session-dismiss]");
const lifetime = Number(warning.dataset.sessionSeconds) * 1000;
const first = { title: title.textContent, left: left.textContent };

let ends = 0;
let passed = 0;
let timer;
let isDismissed = false;
let before = null;

const show = () => {
  before = document.activeElement;
  warning.hidden = false;
  button.focus();
};

const hide = () => {
  if (warning.hidden) return;
  const hadFocus = warning.contains(document.activeElement);
  warning.hidden = true;
  failed.textContent = "";
  if (hadFocus) (before?.isConnected ? before : document.getElementById("content")).focus();
};

const say = (text) => {
  left.textContent = text;
  if (!isDismissed) status.textContent = text;
};

const end = () => {
  title.textContent = warning.dataset.overTitle;
  if (document.activeElement === button) dismiss.focus();
  button.hidden = true;
  failed.textContent = "";
  left.textContent = warning.dataset.over;
  status.textContent = `${warning.dataset.overTitle}. ${warning.dataset.over}`;
  // Also for a reader who has dismissed the warning: a form now asks for a sign-in.
  warning.hidden = false;
};

// What happens when, in milliseconds before the end. Few moments, so that a screen reader is not
// interrupted all the time.
const moments = [
  [120000, show],
  [60000, () => say(warning.dataset.minute)],
  [30000, () => say(warning.dataset.half)],
  [0, end],
];

// The clock decides, not the number of ticks: a computer that slept has missed its timers.
const check = () => {
  clearTimeout(timer);
  const rest = ends - Date.now();
  const due = moments.filter(([at]) => at >= rest).length;
  if (due > passed) {
    if (passed === 0 && due > 1 && due < moments.length) show();
    passed = due;
    moments[due - 1][1]();
  }
  if (passed < moments.length) {
    timer = setTimeout(check, Math.max(rest - moments[passed][0], 250));
  }
};

const renew = () => {
  ends = Date.now() + lifetime;
  passed = 0;
  isDismissed = false;
  hide();
  title.textContent = first.title;
  left.textContent = first.left;
  button.hidden = false;
  check();
};

const others = "BroadcastChannel" in window ? new BroadcastChannel("votekit-session") : null;
others?.addEventListener("message", renew);

button.addEventListener("click", async () => {
  failed.textContent = "";
  const answer = await fetch(warning.dataset.sessionExtend, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ token: warning.dataset.sessionToken }).toString(),
  }).catch(() => null);
  if (answer?.status === 204) {
    renew();
    status.textContent = warning.dataset.extended;
    others?.postMessage("renewed");
  } else if (answer?.status === 403) {
    passed = moments.length;
    clearTimeout(timer);
    end();
    dismiss.focus();
  } else {
    failed.textContent = warning.dataset.failed;
  }
});

dismiss.addEventListener("click", () => {
  isDismissed = true;
  hide();
});
warning.addEventListener("keydown", (event) => {
  if (event.key === "Escape") dismiss.click();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) check();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) check();
});

renew();
others?.postMessage("renewed");
