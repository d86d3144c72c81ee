/** Notifications: what is told to whom, over which channel, and what has become of it. */

import type { App } from '../../app';
import { texts } from '../../texts';
import { showTabs } from '../../ui/tabs';
import { channelsTab } from './channels';
import { deliveriesTab } from './deliveries';
import { reportsTab } from './reports';
import { rulesTab } from './rules';

export function showNotifications(app: App): void {
  showTabs(texts.notify.title, texts.notify.tabs, { rules: rulesTab(app), channels: channelsTab(app), reports: reportsTab(app), deliveries: deliveriesTab(app) });
}
