/** Who may come in: people and devices, for owners, and programs. */

import type { App } from '../../app';
import { texts } from '../../texts';
import { showTabs } from '../../ui/tabs';
import { devicesTab } from './devices';
import { tokensTab } from './tokens';
import { usersTab } from './users';

export function showPeople(app: App): void {
  const isOwner = app.store.now.session.role === 'owner';
  showTabs(texts.people.title, texts.people.tabs, {
    ...(isOwner ? { users: usersTab(app) } : {}), tokens: tokensTab(), ...(isOwner ? { devices: devicesTab(app) } : {}),
  });
}
