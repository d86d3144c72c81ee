/** Stepping through a replay: from fix to fix, or by a time of one's choice. */

import { NAMED_AT_MOST, api } from '../api';
import type { App } from '../app';
import { literal, moment } from '../sql/literal';
import type { ReplaySession } from '../state';
import { texts } from '../texts';
import { h, iconButton, options } from '../ui/dom';
import { vehicleOf } from './scrubber';

/** A step of a time, ms; 0: from fix to fix. */
const SIZES_MS = [0, 1_000, 10_000, 60_000, 600_000, 3_600_000] as const;
const USUAL_MS = 60_000;
/** Further ahead it is cheaper to read anew than to read all that lies between. */
const AHEAD_MS = 600_000;

/** The fix before a moment, of one of these devices; of anybody if there are none. */
export function fixBeforeSql({ from }: Pick<ReplaySession, 'from'>, at: number, devices: readonly string[]): string {
  const whose = devices.length === 0 ? '' : ` AND device IN (${devices.map(literal).join(', ')})`;
  return `SELECT max(fix_time) FROM positions WHERE valid AND fix_time >= ${moment(from)} AND fix_time < ${moment(Math.ceil(at))}${whose}`;
}

export interface Stepper {
  back: HTMLElement;
  forward: HTMLElement;
  size: HTMLElement;
  step: (direction: -1 | 1) => void;
}

export function stepper(app: App, seek: (at: number) => void): Stepper {
  const { store, engine } = app;
  async function fixBefore(replay: ReplaySession): Promise<void> {
    const device = vehicleOf(store.now);
    // Of more vehicles any fix will do.
    const devices = device !== null ? [device] : replay.devices.length <= NAMED_AT_MOST ? replay.devices : [];
    const { rows } = await api.sql(fixBeforeSql(replay, replay.at, devices));
    const found = rows[0]?.[0];
    if (typeof found === 'string' && store.now.replay?.id === replay.id) seek(Date.parse(found));
  }

  function step(direction: -1 | 1): void {
    const { replay } = store.now;
    if (!replay?.ready) return;
    const ms = Number(size.value);
    if (ms === 0) {
      // Else the clock is past it before it is seen.
      if (replay.playing) engine.replay(replay.id, { action: 'pause' });
      if (direction > 0) engine.replay(replay.id, { action: 'step', to: null, device: vehicleOf(store.now) });
      else fixBefore(replay).catch(app.report);
      return;
    }
    if (direction < 0 || ms > AHEAD_MS) {
      seek(replay.at + direction * ms);
      return;
    }
    const to = Math.round(Math.min(replay.to, replay.at + ms));
    // The next step may come before the server has told.
    store.set({ replay: { ...replay, at: to } });
    engine.replay(replay.id, { action: 'step', to, device: null });
  }

  const back = iconButton('back', '', () => step(-1));
  const forward = iconButton('forward', '', () => step(1));
  const size = h('select', { aria: { label: texts.replay.step }, onchange: () => name() });
  options(size, SIZES_MS.map((ms) => [String(ms), texts.replay.steps[ms]] as const), String(USUAL_MS));
  function name(): void {
    const ms = Number(size.value) as (typeof SIZES_MS)[number];
    const names = ms === 0 ? [texts.replay.fixBefore, texts.replay.nextFix] : [texts.replay.back(texts.replay.steps[ms]), texts.replay.forward(texts.replay.steps[ms])];
    [back, forward].forEach((button, i) => {
      button.title = names[i];
      button.setAttribute('aria-label', names[i]);
    });
  }
  name();
  return { back, forward, size, step };
}
