// In a page whose address ends with #soon, the first long timer, that of the session, ends at once.
if (location.hash === "#soon") {
  const wait = window.setTimeout;
  let isFirst = true;
  window.setTimeout = (work, milliseconds, ...more) => {
    const isShortened = isFirst && milliseconds > 60_000;
    if (isShortened) isFirst = false;
    return wait(work, isShortened ? 50 : milliseconds, ...more);
  };
}
