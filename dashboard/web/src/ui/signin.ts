/** Signing in, and choosing a password after a one-time link. */

import { api, messageOf, ApiError } from '../api';
import { texts } from '../texts';
import { field, h, setText } from './dom';
import type { OidcButton, SessionInfo } from '../wire/types';

/** Shows the form until somebody has signed in. `provider`: another way in, which leaves this page. */
export function signIn(root: HTMLElement, title: string, provider: OidcButton | null): Promise<SessionInfo> {
  return new Promise((resolve) => {
    const user = h('input', { name: 'username', autocomplete: 'username', required: true, autofocus: true });
    const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
    const code = h('input', { name: 'code', autocomplete: 'one-time-code', maxLength: 24 });
    const asked = field(texts.signIn.code, code);
    asked.hidden = true;
    const error = h('p', { class: 'error', role: 'alert' });
    const submit = h('button', { type: 'submit', class: 'button primary wide' }, texts.signIn.submit);
    const form = h('form', {
      class: 'sign-in', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        submit.disabled = true;
        setText(error, '');
        api.signIn(user.value.trim(), password.value, code.value.trim()).then(() => api.session()).then((session) => {
          page.remove();
          resolve(session);
        }).catch((e: unknown) => {
          submit.disabled = false;
          if (e instanceof ApiError && e.status === 428) {
            asked.hidden = false;
            code.focus();
            return;
          }
          const isWrong = e instanceof ApiError && e.status === 401 && asked.hidden;
          setText(error, isWrong ? texts.signIn.wrong : messageOf(e));
          (asked.hidden ? password : code).select();
        });
      },
    },
    h('div', { class: 'sign-in-brand' }, h('span', { class: 'brand-mark', aria: { hidden: 'true' } }), title),
    h('h1', {}, texts.signIn.title),
    field(texts.signIn.user, user), field(texts.signIn.password, password), asked, error, submit,
    provider && h('a', { class: 'button wide', href: provider.url }, provider.label),
    h('p', { class: 'hint' }, texts.signIn.hint));
    const page = h('main', { class: 'sign-in-page' }, form);
    root.replaceChildren(page);
    user.focus();
  });
}

/** A dialog; resolves with whether a password was set. */
export function choosePassword(user: string, first: boolean): Promise<boolean> {
  return new Promise((resolve) => {
    const password = h('input', { type: 'password', autocomplete: 'new-password', minLength: 10, required: true });
    const present = h('input', { type: 'password', autocomplete: 'current-password', required: true });
    const chosen = field(texts.password.field, password);
    const error = h('p', { class: 'error', role: 'alert' });
    let saved = false;
    const form = h('form', {
      class: 'form', onsubmit: (event: SubmitEvent) => {
        event.preventDefault();
        setText(error, '');
        api.setPassword(password.value, present.value).then(() => {
          saved = true;
          dialog.close();
        }).catch((e: unknown) => {
          if (e instanceof ApiError && e.status === 428) {
            chosen.before(field(texts.password.present, present));
            present.focus();
          } else setText(error, messageOf(e));
        });
      },
    },
    // For password managers: whose password it is.
    h('input', { autocomplete: 'username', value: user, hidden: true, readOnly: true }),
    h('h2', {}, texts.password.title), first && h('p', { class: 'hint' }, texts.password.why),
    chosen, error,
    h('div', { class: 'button-row' },
      h('button', { type: 'submit', class: 'button primary' }, texts.save),
      h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, first ? texts.password.later : texts.cancel)));
    const dialog = h('dialog', { class: 'dialog', aria: { label: texts.password.title }, onclose: () => {
      dialog.remove();
      resolve(saved);
    } }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}
