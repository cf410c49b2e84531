// Collects the controls that the Tab key must reach, in their order. A group of radio buttons is
// one stop. A control that is hidden from screen readers is not meant for the keyboard.
const controls =
  'a[href], button, input:not([type="hidden"]), select, textarea, summary, [tabindex="0"]';
const groups = new Set();
window.tabStops = [...document.querySelectorAll(controls)].filter((element) => {
  if (element.disabled || !element.checkVisibility({ visibilityProperty: true })) return false;
  if (element.closest("[aria-hidden=true]")) return false;
  if (element.type !== "radio") return true;
  const isFirst = !groups.has(element.name);
  groups.add(element.name);
  return isFirst;
});
return window.tabStops.map((element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 80));
