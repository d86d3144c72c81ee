/** API tokens: by which programs sign in for somebody. */

import { api } from '../../api';
import { date } from '../../format';
import { texts } from '../../texts';
import { collectionTab } from '../../ui/collection';
import { field, h } from '../../ui/dom';
import { showOnce } from '../../ui/once';
import type { Tab } from '../../ui/tabs';
import type { NewTokenRequest, TokenInfo, TokenScopeName } from '../../wire/types';

const SCOPES: readonly TokenScopeName[] = ['read', 'edit', 'sql'];
const DAY_MS = 24 * 3_600_000;

export function tokensTab(): Tab {
  return collectionTab<TokenInfo, NewTokenRequest>({
    empty: texts.people.noTokens,
    create: texts.people.newToken,
    stays: true,
    load: api.tokens,
    describe: ({ user, scopes, expires_at }) => [
      user, scopes.map((scope) => texts.people.scopes[scope]).join(', '), expires_at === null ? texts.people.forEver : texts.people.until(date(expires_at)),
    ].join(' · '),
    save: (_, token) => api.createToken(token).then(({ secret }) => showOnce(texts.people.secretOf(token.name), secret, texts.people.secretHint)),
    remove: api.deleteToken,
    form: () => {
      const boxes = SCOPES.map((scope) => ({ scope, box: h('input', { type: 'checkbox', checked: scope === 'read' }) }));
      const days = h('input', { type: 'number', min: '1', max: '3650', placeholder: texts.people.forEver });
      return {
        fields: [
          h('div', { class: 'choices' }, ...boxes.map(({ scope, box }) => h('label', { class: 'check' }, box, texts.people.scopes[scope]))),
          field(texts.people.days, days),
        ],
        edit: (name) => ({
          name, scopes: boxes.filter(({ box }) => box.checked).map(({ scope }) => scope),
          ...(days.value === '' ? {} : { expires_at: Date.now() + days.valueAsNumber * DAY_MS }),
        }),
      };
    },
  });
}
