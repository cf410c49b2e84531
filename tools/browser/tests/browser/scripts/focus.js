// The tab stop that has the focus, or -1, and whether a ring shows it: at the element or its label.
const active = document.activeElement;
const isSame = (stop) =>
  stop === active ||
  (stop.type === "radio" && active.type === "radio" && stop.name === active.name);
const hasRing = (element) => element && getComputedStyle(element).outlineStyle !== "none";
return [window.tabStops.findIndex(isSame), [active, active.closest("label")].some(hasRing)];
