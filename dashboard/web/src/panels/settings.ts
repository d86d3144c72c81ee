/** Units and time zone, as this user reads them. */

import { UNITS, prefer, preferredTimeZone, preferredUnits } from '../prefs';
import { texts } from '../texts';
import { field, h, options } from '../ui/dom';

export function showSettings(): void {
  const units = h('select', {});
  options(units, UNITS.map((u) => [u, texts.settings.unitNames[u]] as const), preferredUnits());
  const zone = h('select', {});
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  options(zone, [['', texts.settings.browserZone(own)], ...[...new Set(['UTC', ...Intl.supportedValuesOf('timeZone')])].map((z) => [z, z] as const)], preferredTimeZone() ?? '');
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog', onclose: () => dialog.remove() },
    h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        prefer('units', units.value);
        prefer('timeZone', zone.value);
        location.reload();
      },
    },
    h('h2', {}, texts.settings.title), field(texts.settings.units, units), field(texts.settings.timeZone, zone),
    h('p', { class: 'hint' }, texts.settings.hint),
    h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.save),
      h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, texts.cancel))));
  document.body.append(dialog);
  dialog.showModal();
}
