// What every page does beyond its HTML: local times, focus on errors, printing, the part of a page
// that the other language shows, a notice when the connection is gone. Each page works without it.

const lang = document.documentElement.lang;

// Times: local, with the name of the zone; UTC stays beside them.
const local = new Intl.DateTimeFormat(lang === "fr" ? "fr-CA" : "en-CA", {
  day: "numeric",
  month: "long",
  year: "numeric",
  hour: "numeric",
  minute: "2-digit",
  timeZoneName: "long",
});
for (const time of document.querySelectorAll("time[datetime]")) {
  const instant = new Date(time.dateTime);
  if (!Number.isNaN(instant.valueOf()) && instant.getTimezoneOffset() !== 0) {
    const utc = time.dataset.utc ?? time.textContent.trim();
    time.textContent = `${local.format(instant)} (${utc})`;
  }
}

// Browsers that ignore `autofocus` outside of fields.
document.querySelector("[data-focus]")?.focus();

// The other language shows the same part of a page: `help#closed`. A personal link is not in the
// address any more when this reads it.
const toggle = document.querySelector("a.toggle");
toggle?.addEventListener("click", () => {
  if (location.hash) toggle.hash = location.hash;
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A file becomes the text of a field; it is not sent before the button.
for (const input of document.querySelectorAll("[data-file-into]")) {
  const field = document.getElementById(input.dataset.fileInto);
  input.closest("[data-file-field]").hidden = false;
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file || file.size > Number(field.maxLength)) return;
    field.value = await file.text();
    field.focus();
  });
}

// A form is sent once: a second press while the first is under way does nothing. Without a
// connection, and while the node does not answer, it is not sent at all: the browser's own error
// page would take the place of this one. The form with files has a script for this.
const connection = document.querySelector("[data-connection]");
const icon = document.querySelector("link[rel=icon]").href;

// Why a form cannot be sent now; empty if it can. The icon is asked for because any proxy that
// passes pages on passes it too. Whatever else fails here keeps no form from being sent.
const obstacle = async () => {
  if (!navigator.onLine) return connection.dataset.offline;
  const ask = { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout?.(5000) };
  const isAway = await fetch(icon, ask).then(
    () => false,
    (error) => error.name === "TypeError",
  );
  return isAway ? connection.dataset.away : "";
};

for (const form of document.querySelectorAll("form[method=post]:not([data-upload])")) {
  let sent = false;
  let isChecked = false;
  form.addEventListener("submit", async (event) => {
    if (isChecked || !form.requestSubmit) return;
    event.preventDefault();
    if (sent) return;
    sent = true;
    connection.textContent = await obstacle();
    sent = connection.textContent === "";
    if (!sent) {
      // The notice is at the bottom edge of the window, and must not cover the button.
      event.submitter?.scrollIntoView({ block: "center" });
      return;
    }
    isChecked = true;
    form.requestSubmit(event.submitter);
    isChecked = false;
  });
  window.addEventListener("pageshow", () => {
    sent = false;
  });
}
window.addEventListener("online", () => {
  if (connection.textContent) connection.textContent = connection.dataset.online;
});
