// Uploads the files of a hashed roll one by one and shows the progress. Without this script the
// form sends them all at once, and the browser shows no progress.

const form = document.querySelector("[data-upload]");
const input = form.querySelector("input[type=file]");
const problem = document.getElementById("files-error");
const reason = form.querySelector("[data-upload-error]");
const progress = form.querySelector("[data-upload-progress]");
const bar = progress.querySelector("progress");
const text = form.querySelector("[data-upload-text]");
const status = form.querySelector("[data-upload-status]");
const send = form.querySelector("button[type=submit]");
const stop = form.querySelector("[data-upload-stop]");

// Each file renews the session: this informs the warning about its end.
const account = "BroadcastChannel" in window ? new BroadcastChannel("votekit-account") : null;

let request = null;
let saidAt = 0;

// A screen reader announces the progress at most every ten seconds.
const say = (message, isDue = Date.now() - saidAt > 10000) => {
  text.textContent = message;
  if (!isDue) return;
  status.textContent = message;
  saidAt = Date.now();
};

const setBusy = (isBusy) => {
  progress.hidden = !isBusy;
  stop.hidden = !isBusy;
  send.hidden = isBusy;
  input.disabled = isBusy;
};

const fail = (message) => {
  setBusy(false);
  status.textContent = "";
  problem.hidden = false;
  reason.textContent = message;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", "files-hint files-error");
  input.closest(".field").classList.add("wrong");
  input.focus();
};

const clear = () => {
  problem.hidden = true;
  reason.textContent = "";
  input.removeAttribute("aria-invalid");
  input.setAttribute("aria-describedby", "files-hint");
  input.closest(".field").classList.remove("wrong");
};

// The error that the node reports: it answers with the page, in its language. No script of it runs.
const problemOf = (html) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const found =
    page.querySelector(".summary li, [data-upload-error]:not(:empty)") ??
    page.querySelector(".summary, main p");
  return found?.textContent.trim() || form.dataset.lost;
};

// Sends one file. Resolves to the error message, or to an empty text.
const sendFile = (file, onProgress) =>
  new Promise((resolve) => {
    const body = new FormData();
    // The token comes first: the node reads no file without it.
    body.append("token", form.elements.token.value);
    body.append("files", file, file.name);
    request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      onProgress(total > 0 ? loaded / total : 0);
    });
    request.addEventListener("load", () => {
      // A session that has ended leads to the sign-in.
      if (request.responseURL !== form.action) location.assign(request.responseURL);
      else resolve(request.status === 204 ? "" : problemOf(request.responseText));
    });
    request.addEventListener("error", () => resolve(form.dataset.lost));
    request.addEventListener("abort", () => resolve(form.dataset.stopped));
    request.send(body);
  });

// The manifest first: the node compares the other files with it as they arrive.
const isManifest = ({ name }) => name === "manifest.json";
const inOrder = (files) => [...files].sort((one, other) => isManifest(other) - isManifest(one));

form.addEventListener("submit", async (event) => {
  const files = inOrder(input.files);
  // The page says what is missing.
  if (files.length === 0) return;
  event.preventDefault();
  if (!progress.hidden) return;
  clear();
  setBusy(true);
  stop.focus();
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  for (const [index, file] of files.entries()) {
    const message = form.dataset.sending
      .replace("{number}", index + 1)
      .replace("{count}", files.length)
      .replace("{name}", () => file.name);
    say(message, index === 0 || undefined);
    const wrong = await sendFile(file, (share) => {
      bar.value = total > 0 ? (done + share * file.size) / total : 0;
    });
    if (wrong) {
      fail(wrong);
      return;
    }
    account?.postMessage("renewed");
    done += file.size;
    bar.value = total > 0 ? done / total : 1;
  }
  location.assign(form.dataset.done);
});

stop.addEventListener("click", () => request?.abort());

window.addEventListener("pageshow", (event) => {
  if (event.persisted) setBusy(false);
});
