/** Which events are told, of which fleets and geofences, and when not. */

import { api } from '../../api';
import type { App } from '../../app';
import { texts } from '../../texts';
import { collectionTab } from '../../ui/collection';
import { field, h, lines, options, timeZones } from '../../ui/dom';
import type { Tab } from '../../ui/tabs';
import type { NotificationRuleEdit, NotificationRuleInfo } from '../../wire/types';
import { choices, group } from './choices';

const USUAL_KINDS = ['enter', 'exit'];

export function rulesTab(app: App): Tab {
  const { store } = app;
  let channels = new Map<string, string>();
  return collectionTab<NotificationRuleInfo, NotificationRuleEdit>({
    empty: texts.notify.noRules,
    create: texts.notify.newRule,
    load: async () => {
      const [rules, all] = await Promise.all([api.notificationRules(), api.channels()]);
      channels = new Map(all.map(({ id, name }) => [id, name]));
      return rules;
    },
    describe: (rule) => [
      ...(rule.enabled ? [] : [texts.notify.off]), rule.kinds.map((kind) => texts.alerts.kindNames[kind] ?? kind).join(', '), `→ ${channels.get(rule.channel) ?? rule.channel}`,
    ].join(' · '),
    save: (id, edit) => (id === null ? api.createNotificationRule(edit) : api.changeNotificationRule(id, edit)),
    remove: api.deleteNotificationRule,
    form: (existing) => {
      const channel = h('select', { required: true });
      options(channel, [...channels], existing?.channel ?? [...channels.keys()][0] ?? '');
      const enabled = h('input', { type: 'checkbox', checked: existing?.enabled ?? true });
      const kinds = choices(Object.entries(texts.alerts.kindNames), existing?.kinds ?? USUAL_KINDS);
      const fleets = choices(store.now.fleets.map((fleet) => [fleet.id, fleet.name]), existing?.fleets ?? []);
      const fences = choices([...store.now.fences.values()].map(({ properties }) => [properties.id, properties.name]), existing?.geofences ?? []);
      const every = h('input', { type: 'number', min: '0', max: '1440', value: String(existing?.at_most_every_min ?? 0) });
      const quiet = existing?.quiet_hours ?? null;
      const hours = h('textarea', { rows: 2, value: quiet?.hours.join('\n') ?? '', placeholder: 'mon-sun 22:00-06:00' });
      const closed = h('input', { value: quiet?.closed?.join(', ') ?? '', placeholder: '2026-12-25' });
      const zone = timeZones(quiet?.time_zone);
      return {
        fields: [
          field(texts.notify.channel, channel), h('label', { class: 'check' }, enabled, texts.notify.enabled),
          group(texts.notify.kinds, kinds, true), group(texts.notify.fleets, fleets, fleets.chosen().length > 0),
          group(texts.notify.fences, fences, fences.chosen().length > 0),
          field(texts.notify.every, every), field(texts.notify.quietHours, hours), field(texts.notify.notOn, closed), field(texts.fences.timeZone, zone),
        ],
        edit: (name) => ({
          name, enabled: enabled.checked, kinds: kinds.chosen(), fleets: fleets.chosen(), geofences: fences.chosen(), channel: channel.value,
          at_most_every_min: every.valueAsNumber || 0,
          quiet_hours: lines(hours.value).length === 0 ? null : { time_zone: zone.value, hours: lines(hours.value), closed: lines(closed.value) },
        }),
      };
    },
  });
}
