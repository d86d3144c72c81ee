/** Turning the second factor on, with an authenticator, and off, with a code. */

import { ApiError, api, messageOf } from '../api';
import { time } from '../format';
import { texts } from '../texts';
import { field, h, setText } from './dom';
import { showOnce } from './once';

export function showSecondFactor(report: (error: unknown) => void): void {
  api.secondFactor().then(async ({ since, recovery_codes }) => {
    if (since === null) return turnOn(await api.proposeSecondFactor());
    return turnOff(time(since), recovery_codes);
  }).catch(report);
}

function ask(content: HTMLElement[], submit: string, done: (code: string) => Promise<void>): void {
  const code = h('input', { autocomplete: 'one-time-code', required: true, maxLength: 24 });
  const error = h('p', { class: 'error', role: 'alert' });
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog', aria: { label: texts.secondFactor.title }, onclose: () => dialog.remove() },
    h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        done(code.value.trim()).then(() => dialog.close()).catch((e: unknown) => {
          setText(error, messageOf(e));
          code.select();
        });
      },
    }, h('h2', {}, texts.secondFactor.title), ...content, field(texts.secondFactor.code, code), error,
    h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button primary' }, submit),
      h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, texts.cancel))));
  document.body.append(dialog);
  dialog.showModal();
  code.focus();
}

function turnOn(proposal: { secret: string; qr_svg: string }): void {
  // A picture, so that nothing in it can be more than that.
  const picture = h('img', { class: 'qr', alt: texts.secondFactor.picture, src: `data:image/svg+xml;base64,${btoa(proposal.qr_svg)}` });
  const secret = h('input', { value: proposal.secret, readOnly: true, class: 'secret' });
  const present = h('input', { type: 'password', autocomplete: 'current-password' });
  const asked = field(texts.password.present, present);
  asked.hidden = true;
  ask([h('p', { class: 'hint' }, texts.secondFactor.scan), picture, field(texts.secondFactor.secret, secret), asked], texts.secondFactor.turnOn, async (code) => {
    const { codes } = await api.startSecondFactor({ secret: proposal.secret, code, ...(present.value === '' ? {} : { present: present.value }) }).catch((e: unknown) => {
      // Who has not come by a link lately has to show it.
      if (e instanceof ApiError && e.status === 428) asked.hidden = false;
      throw e;
    });
    showOnce(texts.secondFactor.codes, codes.join(' '), texts.secondFactor.keep);
  });
}

function turnOff(since: string, left: number): void {
  ask([h('p', { class: 'hint' }, texts.secondFactor.on(since, left))], texts.secondFactor.turnOff, async (code) => {
    await api.endSecondFactor(code);
  });
}
