/** What a form does when it is sent. Sent again before that is done, as by a double-click, it does nothing: or there would be two of what it makes. */
export function submitting(act: () => Promise<unknown>, failed: (error: unknown) => void): (event: Pick<SubmitEvent, 'preventDefault'>) => void {
  let busy = false;
  return (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    (async () => act())().catch(failed).finally(() => {
      busy = false;
    });
  };
}
