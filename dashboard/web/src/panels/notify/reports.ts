/** Summaries that are sent by themselves. */

import { api } from '../../api';
import type { App } from '../../app';
import { texts } from '../../texts';
import { collectionTab } from '../../ui/collection';
import { field, h, options, timeZones } from '../../ui/dom';
import type { Tab } from '../../ui/tabs';
import type { ReportEdit, ReportInfo } from '../../wire/types';
import { choices, group } from './choices';

const EVERY: readonly ReportInfo['every'][] = ['day', 'week'];
const LINES: readonly ReportInfo['per'][] = ['vehicle', 'fleet'];
const FORMATS: readonly ReportInfo['format'][] = ['xlsx', 'csv'];

export function reportsTab(app: App): Tab {
  let channels = new Map<string, string>();
  return collectionTab<ReportInfo, ReportEdit>({
    empty: texts.reports.none,
    create: texts.reports.create,
    load: async () => {
      const [reports, all] = await Promise.all([api.reports(), api.channels()]);
      channels = new Map(all.filter(({ type }) => type === 'email').map(({ id, name }) => [id, name]));
      return reports;
    },
    describe: (report) => [
      ...(report.enabled ? [] : [texts.notify.off]), texts.reports.every[report.every], texts.reports.lines[report.per], `${report.time} ${report.time_zone}`, texts.reports.formats[report.format],
      `→ ${channels.get(report.channel) ?? report.channel}`,
    ].join(' · '),
    save: (id, edit) => (id === null ? api.createReport(edit) : api.changeReport(id, edit)),
    remove: api.deleteReport,
    form: (existing) => {
      const channel = h('select', { required: true });
      options(channel, [...channels], existing?.channel ?? [...channels.keys()][0] ?? '');
      const enabled = h('input', { type: 'checkbox', checked: existing?.enabled ?? true });
      const every = h('select', {});
      options(every, EVERY.map((name) => [name, texts.reports.every[name]] as const), existing?.every ?? 'day');
      const per = h('select', {});
      options(per, LINES.map((name) => [name, texts.reports.lines[name]] as const), existing?.per ?? 'vehicle');
      const format = h('select', {});
      options(format, FORMATS.map((name) => [name, texts.reports.formats[name]] as const), existing?.format ?? 'xlsx');
      const time = h('input', { type: 'time', required: true, value: existing?.time ?? '07:00' });
      const zone = timeZones(existing?.time_zone);
      const fleets = choices(app.store.now.fleets.map((fleet) => [fleet.id, fleet.name]), existing?.fleets ?? []);
      return {
        fields: [
          field(texts.reports.channel, channel), h('label', { class: 'check' }, enabled, texts.notify.enabled), field(texts.reports.about, every), field(texts.reports.per, per),
          field(texts.reports.time, time), field(texts.fences.timeZone, zone), field(texts.reports.format, format),
          group(texts.notify.fleets, fleets, fleets.chosen().length > 0),
        ],
        edit: (name) => ({
          name, enabled: enabled.checked, fleets: fleets.chosen(), per: per.value as ReportInfo['per'], every: every.value as ReportInfo['every'], time: time.value, time_zone: zone.value,
          format: format.value as ReportInfo['format'], channel: channel.value,
        }),
      };
    },
  });
}
