// What the checks compare, read in one go.
const root = document.documentElement;
const isShown = (element) => element.checkVisibility({ visibilityProperty: true });
const start = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 80);
// Without the buttons in tables: for them the 24 pixels of axe's own rule are enough.
const targets =
  ".button:not(.small-button), .choice, .toggle, nav a, select, textarea, " +
  "input:not([type=hidden], [type=radio], [type=checkbox])";
const words = (text) => text.replace(/\s+/g, " ").trim().toLowerCase();
// The name that a screen reader says contains the text that is seen (WCAG 2.5.3).
const isNamed = (element) =>
  words(element.getAttribute("aria-label")).includes(words(element.textContent));
const [navigation] = performance.getEntriesByType("navigation");
return {
  language: root.lang,
  title: document.title,
  headings: document.querySelectorAll("h1").length,
  status: navigation.responseStatus,
  overflow: root.scrollWidth - root.clientWidth,
  wide: [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > root.clientWidth + 0.5)
    .map(start),
  misnamed: [...document.querySelectorAll("a[aria-label], button[aria-label]")]
    .filter((element) => isShown(element) && !isNamed(element))
    .map(start),
  small: [...document.querySelectorAll(targets)]
    .filter((element) => isShown(element) && element.getBoundingClientRect().height < 43.5)
    .map(start),
};
