// In a page whose address ends with #soon the clock jumps: the first long timer, that of the session,
// ends at once, at the time for which it was set.
if (location.hash === "#soon") {
  const [wait, now] = [window.setTimeout, Date.now];
  let skipped = 0;
  Date.now = () => now() + skipped;
  window.setTimeout = (work, milliseconds, ...more) => {
    if (skipped > 0 || milliseconds < 60_000) return wait(work, milliseconds, ...more);
    return wait(() => {
      skipped = milliseconds;
      work(...more);
    }, 50);
  };
}
