/**
 * Playwright asks the page with each move of a pressed mouse whether something is being dragged out of it: two evaluations on the main thread that no
 * real mouse causes, about 20 ms/s of a drag. So the harness's moves are given to the browser as a mouse gives them, for both maps.
 */
export async function useBrowsersMouse(page) {
  const cdp = await page.context().newCDPSession(page);
  let at = { x: 0, y: 0 };
  let pressed = false;
  const tell = (type, button) =>
    cdp.send('Input.dispatchMouseEvent', { type, ...at, button, buttons: pressed ? 1 : 0, clickCount: type === 'mouseMoved' ? 0 : 1 });
  page.mouse.move = (x, y) => {
    at = { x, y };
    return tell('mouseMoved', pressed ? 'left' : 'none');
  };
  page.mouse.down = () => {
    pressed = true;
    return tell('mousePressed', 'left');
  };
  page.mouse.up = () => {
    pressed = false;
    return tell('mouseReleased', 'left');
  };
}
