// A personal link opens the sign-in page with `#c=NUMBER-CODE`: a fragment, which browsers send to
// no server. This fills the fields in and removes the fragment from the address at once, so that no
// bookmark and no copied address has the code. Without JavaScript the number and the code are typed
// by hand.

const form = document.getElementById("code")?.form;
const script = document.querySelector("script[data-link-filled]");
const toggle = document.querySelector("a.toggle");

// In the page before its text changes: otherwise a screen reader would not read the change.
const said = document.createElement("p");
said.className = "notice";
said.setAttribute("role", "status");
said.hidden = true;

const say = (text) => {
  said.hidden = false;
  setTimeout(() => {
    said.textContent = text;
  }, 100);
};

const fill = () => {
  const fragment = location.hash;
  if (!fragment.startsWith("#c=")) return;
  history.replaceState(history.state, "", location.pathname + location.search);
  const parts = /^#c=([0-9]{9})-([0-9A-Za-z]{4,32})$/.exec(fragment);
  if (!parts) {
    say(script.dataset.linkBroken);
    return;
  }
  form.elements.nas.value = parts[1];
  form.elements.code.value = parts[2];
  // The page in the other language is another address: it gets the link too.
  if (toggle) toggle.hash = fragment;
  say(script.dataset.linkFilled);
  form.querySelector("button[type=submit]").focus();
};

if (form && script) {
  form.before(said);
  fill();
  // The link was opened again in the same tab.
  window.addEventListener("hashchange", fill);
}
