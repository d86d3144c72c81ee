/** A secret that is shown once: to be copied now. */

import { texts } from '../texts';
import { field, h, setText } from './dom';

export function showOnce(title: string, secret: string, hint: string): void {
  const shown = h('input', { value: secret, readOnly: true, class: 'secret', onfocus: () => shown.select() });
  const copy = h('button', { type: 'button', class: 'button primary', onclick: () => {
    shown.select();
    // Without TLS browsers give no clipboard; what is selected can be copied by hand.
    navigator.clipboard?.writeText(secret).then(() => setText(copy, texts.copied)).catch(() => undefined);
  } }, texts.copy);
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog', aria: { label: texts.shownOnce }, onclose: () => dialog.remove() },
    h('form', { method: 'dialog', class: 'form' }, field(title, shown), h('p', { class: 'hint' }, hint),
      h('div', { class: 'button-row' }, copy, h('button', { type: 'submit', class: 'button' }, texts.close))));
  document.body.append(dialog);
  dialog.showModal();
}
