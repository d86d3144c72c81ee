/** What happens to devices that nobody has entered: for owners. */

import { api } from '../../api';
import type { App } from '../../app';
import { texts } from '../../texts';
import { field, h, options } from '../../ui/dom';
import type { Tab } from '../../ui/tabs';
import type { UnknownDevicePolicyName } from '../../wire/types';

const POLICIES: readonly (UnknownDevicePolicyName | '')[] = ['', 'accept', 'tray', 'refuse'];

/** What is chosen counts at once: there is nothing else to say. */
export function devicesTab(app: App): Tab {
  const policy = h('select', { disabled: true, onchange: () => {
    api.setUnknownDevicePolicy(policy.value === '' ? null : policy.value as UnknownDevicePolicyName).then(() => app.toast(texts.unknown.policySaved), (e: unknown) => {
      app.report(e);
      load();
    });
  } });
  const load = (): void => {
    api.unknownDevicePolicy().then((chosen) => {
      options(policy, POLICIES.map((name) => [name, texts.unknown.policies[name]] as const), chosen ?? '');
      policy.disabled = false;
    }).catch(app.report);
  };
  const element = h('div', { class: 'tab-page' }, field(texts.unknown.policy, policy), h('p', { class: 'hint' }, texts.unknown.policyHint));
  return { element, shown: load };
}
