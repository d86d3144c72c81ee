/** Filters by what live frames don't carry: a geofence, an attribute. The server is asked who passes, again and again. */

import { api } from './api';
import type { App } from './app';
import { literal } from './sql/literal';
import { texts } from './texts';

/** As often as reports come: nobody waits longer to be seen. */
const EVERY_MS = 10_000;

const CONDITION = /^\s*([\w.]+)\s*(=|!=|<=|>=|<|>)\s*(.+?)\s*$/;

/** `power_v<12`, `ignition=true`, `driver=Jo`, or a name alone: whoever reports it. Null if it is none of these. */
export function attributeSql(text: string): string | null {
  const name = /^\s*([\w.]+)\s*$/.exec(text)?.[1];
  if (name !== undefined) return `attribute_text(attributes, ${literal(name)}) IS NOT NULL`;
  const [, attribute, sign, value] = CONDITION.exec(text) ?? [];
  if (attribute === undefined) return null;
  const number = Number(value);
  const key = literal(attribute);
  if (value !== '' && Number.isFinite(number)) return `attribute_number(attributes, ${key}) ${sign} ${number}`;
  // Words have no order.
  if (sign !== '=' && sign !== '!=') return null;
  return `lower(attribute_text(attributes, ${key})) ${sign} ${literal(value.toLowerCase())}`;
}

/** Null: nobody need be asked. Throws what can be shown. */
export function deviceSql(fence: string | null, attribute: string): string | null {
  const conditions = fence === null ? [] : [`in_geofence(lat, lon, ${literal(fence)})`];
  if (attribute.trim() !== '') {
    const condition = attributeSql(attribute);
    if (condition === null) throw new Error(texts.vehicles.attributeBad);
    conditions.push(condition);
  }
  return conditions.length === 0 ? null : `SELECT device FROM latest_positions WHERE ${conditions.join(' AND ')}`;
}

/** Keeps the filter's list of devices as its fence and attribute say. `fault`: what is wrong with them, or ''. */
export function followDeviceFilter({ store }: App, fault: (message: string) => void): void {
  let asked = 0;
  let known = '';
  const refresh = async (): Promise<void> => {
    const mine = ++asked;
    const { fence, attribute } = store.now.filter;
    let devices: string[] | null = null;
    try {
      const sql = deviceSql(fence, attribute);
      const answer = sql === null ? null : await api.sql(sql);
      // Those that came before it broke off are not all.
      if (answer?.error !== undefined) throw new Error(answer.error);
      devices = answer && answer.rows.map(([device]) => String(device));
      if (mine === asked) fault(answer?.truncated ? texts.vehicles.filterCut(answer.rows.length) : '');
    } catch (e) {
      // Who passed last still does, until it is known better.
      if (mine === asked) fault(e instanceof Error ? e.message : texts.failed);
      return;
    }
    if (mine !== asked) return;
    const { filter } = store.now;
    if (devices !== null || filter.devices !== null) store.set({ filter: { ...filter, devices } });
  };
  store.on(['filter'], ({ filter }) => {
    const key = JSON.stringify([filter.fence, filter.attribute]);
    if (key === known) return;
    known = key;
    void refresh();
  });
  setInterval(() => {
    const { fence, attribute } = store.now.filter;
    if (fence !== null || attribute !== '') void refresh();
  }, EVERY_MS);
}
