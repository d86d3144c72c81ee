/** The people of the organisation: invited by a link, which their owner sends them. */

import { api } from '../../api';
import type { App } from '../../app';
import { texts } from '../../texts';
import { collectionTab } from '../../ui/collection';
import { field, h, iconButton, options } from '../../ui/dom';
import { showOnce } from '../../ui/once';
import type { Tab } from '../../ui/tabs';
import type { RoleName, UserEdit, UserInfo, UserLink } from '../../wire/types';

const ROLES: readonly RoleName[] = ['viewer', 'installer', 'dispatcher', 'owner'];

interface Item extends UserInfo { name: string }

export function usersTab(app: App): Tab {
  const give = (user: string) => (link: UserLink): void =>
    showOnce(texts.people.linkOf(user), new URL(link.path, location.href).href, texts.people.linkHint);
  return collectionTab<Item, UserEdit & { id: string }>({
    empty: '',
    create: texts.people.invite,
    nameLabel: texts.people.userName,
    nameStays: true,
    load: async () => (await api.users()).map((user) => ({ ...user, name: user.id })),
    describe: ({ role, has_password }) => [texts.people.roles[role], ...(has_password ? [] : [texts.people.noPassword])].join(' · '),
    // Whoever is in needs none, and is given none: it would choose another password without the present one.
    actions: ({ id }) => (id === app.store.now.session.user ? [] : [iconButton('link', texts.people.newLink(id), () => {
      api.linkOfUser(id).then(give(id)).catch(app.report);
    })]),
    save: (id, edit) => (id === null ? api.inviteUser(edit).then(give(edit.id)) : api.changeUser(id, { role: edit.role })),
    remove: api.deleteUser,
    form: (existing) => {
      const role = h('select', {});
      options(role, ROLES.map((name) => [name, texts.people.roles[name]] as const), existing?.role ?? 'viewer');
      return { fields: [field(texts.people.role, role)], edit: (id) => ({ id, role: role.value as RoleName }) };
    },
  });
}
