// The end of an account's session: a warning two minutes before, and one press to extend it. Every
// page renews the session, so the pages of one browser share the time of its end. The pages work
// without it.

const warning = document.querySelector("[data-account-seconds]");
const status = document.querySelector("[data-account-status]");
const text = warning.querySelector("[data-account-text]");
const button = warning.querySelector("button");
const signIn = warning.querySelector("a");
const lifetime = Number(warning.dataset.accountSeconds) * 1000;
const warningTime = 120000;

let ends = 0;
let timer;

const end = () => {
  text.textContent = warning.dataset.over;
  button.hidden = true;
  signIn.hidden = false;
  warning.hidden = false;
  status.textContent = warning.dataset.over;
};

// The clock decides, not the timer: a computer that slept has missed it.
const check = () => {
  clearTimeout(timer);
  const rest = ends - Date.now();
  if (rest <= 0) {
    end();
    return;
  }
  if (rest > warningTime) {
    timer = setTimeout(check, rest - warningTime);
    return;
  }
  if (warning.hidden) {
    warning.hidden = false;
    button.focus();
  }
  timer = setTimeout(check, rest);
};

const renew = () => {
  ends = Date.now() + lifetime;
  warning.hidden = true;
  check();
};

const others = "BroadcastChannel" in window ? new BroadcastChannel("votekit-account") : null;
// Not after the end: the forms of this page belong to the session that is over.
others?.addEventListener("message", () => {
  if (signIn.hidden) renew();
});

button.addEventListener("click", async () => {
  const answer = await fetch(warning.dataset.accountPage, { credentials: "same-origin" }).catch(
    () => null,
  );
  if (!answer?.ok) {
    status.textContent = warning.dataset.failed;
  } else if (answer.redirected) {
    // A session that has ended leads to the sign-in.
    end();
    signIn.focus();
  } else {
    renew();
    status.textContent = warning.dataset.extended;
    others?.postMessage("renewed");
    document.getElementById("content").focus();
  }
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) check();
});

renew();
others?.postMessage("renewed");
