/** The page of a share link: one vehicle, for somebody without an account. */

import 'leaflet/dist/leaflet.css';
import '../styles/app.css';
import { api } from '../api';
import { age, configure, course, kmhOf, speedText, time, utc } from '../format';
import { preferredTimeZone, preferredUnits } from '../prefs';
import { texts } from '../texts';
import { h, setText } from '../ui/dom';
import type { PageConfig, SharedView } from '../wire/types';
import { secretOf, trailOf, watch, type Link } from './feed';
import { sharedMap } from './map';

/** How often the way is fetched: what was reported late is in it too. */
const TRAIL_MS = 60_000;

const root = document.getElementById('root') ?? document.body;

function over(title: string): void {
  root.replaceChildren(h('main', { class: 'sign-in-page' }, h('div', { class: 'sign-in' },
    h('div', { class: 'sign-in-brand' }, title), h('h1', {}, texts.share.over), h('p', { class: 'hint' }, texts.share.overHint))));
}

function page(config: PageConfig, theme: 'dark' | 'light', secret: string): { show: (view: SharedView) => void; tell: (link: Link) => void; stop: () => void } {
  const box = h('div', { class: 'map shared-map', role: 'region', aria: { label: texts.share.map } });
  const name = h('h1', { class: 'card-title' });
  const state = h('div', { class: 'card-subtitle', role: 'status' }, texts.link.connecting);
  const figures = { speed: h('span', { class: 'figure' }), course: h('span', { class: 'figure' }), age: h('span', { class: 'figure' }) };
  const fix = h('dd');
  const end = h('dd');
  const centre = h('button', { type: 'button', class: 'button small', hidden: true, onclick: () => {
    map.follow();
    centre.hidden = true;
  } }, texts.details.follow);
  const figure = (label: string, value: HTMLElement): HTMLElement => h('div', {}, h('span', { class: 'figure-label' }, label), value);
  root.replaceChildren(h('main', { class: 'shared-page' }, box,
    h('aside', { class: 'card', aria: { label: texts.share.region } },
      h('header', { class: 'card-head' }, h('div', { class: 'grow' }, name, state), centre),
      h('div', { class: 'figures' },
        figure(texts.details.speed, figures.speed), figure(texts.details.course, figures.course), figure(texts.details.lastFix, figures.age)),
      h('dl', { class: 'facts' }, h('dt', {}, texts.share.fix), fix, h('dt', {}, texts.share.ends), end))));
  const map = sharedMap(box, config.tiles, theme, () => {
    centre.hidden = false;
  });

  let view: SharedView | null = null;
  /** How far the server's clock is ahead of this one's. */
  let ahead = 0;
  const tick = (): void => {
    setText(figures.age, view?.position ? age(Date.now() + ahead - view.position.fix_time) : '–');
  };
  const fetchTrail = (): void => {
    // Without it there is the way seen from now on.
    trailOf(secret).then((trail) => trail && map.came(trail)).catch(() => undefined);
  };
  const timers = [window.setInterval(tick, 1_000), window.setInterval(fetchTrail, TRAIL_MS)];
  fetchTrail();
  return {
    show: (now) => {
      view = now;
      ahead = now.now - Date.now();
      const shown = now.name ?? texts.share.vehicle;
      setText(name, shown);
      document.title = `${shown} – ${config.title || texts.product}`;
      setText(end, time(now.ends_at));
      end.title = utc(now.ends_at);
      const { position } = now;
      setText(figures.speed, speedText(position?.speed_mps == null ? null : kmhOf(position.speed_mps)));
      setText(figures.course, position?.course_deg == null ? '–' : course(position.course_deg));
      setText(fix, position ? time(position.fix_time) : texts.share.none);
      fix.title = position ? utc(position.fix_time) : '';
      if (position) map.move(position, position.fix_time >= now.starts_at);
      tick();
    },
    tell: (link) => setText(state, texts.share.states[link]),
    stop: () => timers.forEach(clearInterval),
  };
}

async function start(): Promise<void> {
  const theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset['theme'] = theme;
  configure({ units: preferredUnits(), timeZone: preferredTimeZone() });
  // Another link in the same tab is another page.
  addEventListener('hashchange', () => location.reload());
  const secret = secretOf(location.hash);
  const config = await api.config();
  if (secret !== null) {
    const { show, tell, stop } = page(config, theme, secret);
    await watch(secret, show, tell);
    stop();
  }
  document.title = config.title || texts.product;
  over(config.title || texts.product);
}

start().catch((error: unknown) => {
  root.replaceChildren(h('main', { class: 'sign-in-page' }, h('div', { class: 'sign-in' }, h('h1', {}, texts.product),
    h('p', { class: 'error', role: 'alert' }, error instanceof Error ? error.message : texts.failed),
    h('button', { type: 'button', class: 'button primary', onclick: () => location.reload() }, texts.retry))));
});
