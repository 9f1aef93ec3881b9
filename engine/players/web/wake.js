/**
 * Keeps the screen on while it is wanted. Browsers drop the lock when the page is hidden; it is taken again when it comes
 * back. A browser that has none, or refuses (battery saver), leaves it to the person: the page asks for it in words.
 */
export function keepAwake(navigator, document) {
  let wanted = false, asked = false, lock = null;
  const take = async () => {
    if (!wanted || asked || document.visibilityState !== "visible" || (lock && !lock.released)) return;
    asked = true;
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
    asked = false;
    if (!wanted) drop();
  };
  const drop = () => {
    lock?.release().catch(() => {}); // it is gone already
    lock = null;
  };
  document.addEventListener("visibilitychange", take);
  return (on) => {
    if (on === wanted) return; // a browser that refused would be asked again with every step
    wanted = on;
    if (on) take();
    else drop();
  };
}
