/** Units and time zone, as this user reads them. */

import { api, messageOf } from '../api';
import { UNITS, preferredTimeZone, preferredUnits, type Units } from '../prefs';
import { texts } from '../texts';
import { field, h, options, setText } from '../ui/dom';

export function showSettings(): void {
  const units = h('select', {});
  options(units, UNITS.map((u) => [u, texts.settings.unitNames[u]] as const), preferredUnits());
  const zone = h('select', {});
  const error = h('p', { class: 'error', role: 'alert' });
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  options(zone, [['', texts.settings.browserZone(own)], ...[...new Set(['UTC', ...Intl.supportedValuesOf('timeZone')])].map((z) => [z, z] as const)], preferredTimeZone() ?? '');
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog', aria: { label: texts.settings.title }, onclose: () => dialog.remove() },
    h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        const chosen = { units: units.value as Units, time_zone: zone.value || null };
        api.setPreferences(chosen).then(() => location.reload(), (e: unknown) => setText(error, messageOf(e)));
      },
    },
    h('h2', {}, texts.settings.title), field(texts.settings.units, units), field(texts.settings.timeZone, zone),
    h('p', { class: 'hint' }, texts.settings.hint), error,
    h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, texts.save),
      h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, texts.cancel))));
  document.body.append(dialog);
  dialog.showModal();
}
