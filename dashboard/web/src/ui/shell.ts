/** The page around the map: bar, rail of panels, dock, keyboard. */

import { api } from '../api';
import type { App, Panel } from '../app';
import { age } from '../format';
import { PANEL_NAMES, type PanelName } from '../state';
import { showChanges } from '../panels/changes';
import { showPeople } from '../panels/people/dialog';
import { showSettings } from '../panels/settings';
import { leave } from '../pwa/install';
import { panelsOf } from '../roles';
import { texts } from '../texts';
import { h, icon, iconButton, setText, type IconName } from './dom';
import { menuBehind } from './menu';
import { showSecondFactor } from './second_factor';
import { choosePassword } from './signin';

/** Tables need the width of the map: these are below it. */
const DOCKED: ReadonlySet<PanelName> = new Set<PanelName>(['trips', 'sql']);
const KEYS: Record<string, PanelName> = { v: 'vehicles', f: 'fences', a: 'alerts', r: 'replay', t: 'trips', q: 'sql' };
/** Live data older than this is worth a word. */
const STALE_MS = 3_000;

export interface Shell {
  element: HTMLElement;
  mapBox: HTMLElement;
  /** Where panels, details and docks go, once made. */
  fill: (parts: { panels: Record<PanelName, Panel>; details: HTMLElement; dock: HTMLElement; toasts: HTMLElement }) => void;
}

export function createShell(app: App): Shell {
  const { store } = app;
  const mapBox = h('main', { class: 'map', aria: { label: texts.map.label } });
  const panelTitle = h('h2', { class: 'panel-title' });
  const side = h('section', { class: 'panel', hidden: true },
    h('header', { class: 'panel-head' }, panelTitle, iconButton('close', texts.close, () => app.openPanel(null))));
  const rail = h('nav', { class: 'rail', aria: { label: texts.product } });
  const buttons = new Map<PanelName, HTMLElement>();
  const badge = h('span', { class: 'badge count', hidden: true });
  for (const name of panelsOf(store.now)) {
    const button = h('button', {
      type: 'button', class: 'rail-button', onclick: () => app.openPanel(store.now.panel === name ? null : name), data: { panel: name },
    }, icon(name as IconName), h('span', {}, texts.panels[name]), name === 'alerts' && badge);
    buttons.set(name, button);
    rail.append(button);
  }
  rail.append(h('span', { class: 'grow' }), iconButton('help', texts.panels.help, showHelp, 'rail-button rail-help'));
  store.on(['unseenAlerts'], ({ unseenAlerts }) => {
    badge.hidden = unseenAlerts === 0;
    setText(badge, unseenAlerts > 99 ? '99+' : String(unseenAlerts));
  });

  const banner = h('div', { class: 'banner', role: 'status', hidden: true });
  const stage = h('div', { class: 'stage' }, mapBox, banner);
  const host = h('div', { class: 'map-host' }, stage);
  const body = h('div', { class: 'body' }, rail, side, host);
  const element = h('div', { class: 'app' }, bar(app), body);

  store.on(['stats'], ({ stats }) => {
    const lost = stats !== null && stats.link === 'lost';
    banner.hidden = !lost;
    // Before a second is over it would be `now old`; before the first frame there is nothing to see.
    if (lost) setText(banner, stats.ageMs === null ? texts.link.lostAtOnce : texts.link.lostBanner(age(Math.max(1_000, stats.ageMs))));
    if (stats?.link === 'unauthorised') location.reload();
  });

  return {
    element,
    mapBox,
    fill: ({ panels, details, dock, toasts }) => {
      for (const name of PANEL_NAMES) {
        const { element: panel } = panels[name];
        panel.hidden = true;
        (DOCKED.has(name) ? host : side).append(panel);
        panel.classList.toggle('dock', DOCKED.has(name));
      }
      stage.append(details, toasts);
      host.append(dock);
      store.on(['drawing'], ({ drawing }) => side.classList.toggle('is-drawing', drawing !== null));
      store.on(['panel'], ({ panel }) => {
        side.hidden = panel === null || DOCKED.has(panel);
        if (panel) setText(panelTitle, texts.panels[panel]);
        side.setAttribute('aria-label', panel ? texts.panels[panel] : '');
        for (const name of PANEL_NAMES) {
          panels[name].element.hidden = name !== panel;
          buttons.get(name)?.setAttribute('aria-pressed', String(name === panel));
        }
        if (panel) panels[panel].shown?.();
      });
    },
  };
}

function bar(app: App): HTMLElement {
  const { store } = app;
  const dot = h('span', { class: 'link-dot' });
  const text = h('span', {});
  const link = h('div', { class: 'link', role: 'status' }, dot, text);
  const counts = h('div', { class: 'bar-counts' });
  const figures = texts.looks.map((name, look) => {
    const n = h('strong', {});
    const figure = h('span', { class: 'bar-count', title: texts.looksHint[look] }, h('span', { class: `look look-${look}` }), n, ` ${name}`);
    counts.append(figure);
    return { figure, n };
  });
  store.on(['stats'], ({ stats }) => {
    const state = stats?.link ?? 'connecting';
    dot.dataset['state'] = state;
    const stale = state === 'online' && stats?.ageMs != null && stats.ageMs > STALE_MS ? ` · ${texts.link.age(age(stats.ageMs))}` : '';
    setText(text, texts.link[state] + stale);
    figures.forEach(({ figure, n }, look) => {
      const value = stats?.looks[look] ?? 0;
      figure.hidden = value === 0;
      setText(n, value.toLocaleString());
    });
  });
  // It changes with every frame: written when somebody points at it.
  link.onpointerenter = () => {
    const { stats } = store.now;
    link.title = stats ? texts.link.details(stats.frames, stats.badFrames, stats.lagP95 === null ? '–' : `${Math.round(stats.lagP95)} ms`) : '';
  };
  const theme = iconButton('moon', texts.theme.dark, () => app.toggleTheme());
  store.on(['options'], ({ options }) => {
    const dark = options.theme === 'dark';
    theme.replaceChildren(icon(dark ? 'sun' : 'moon'));
    const label = dark ? texts.theme.light : texts.theme.dark;
    theme.title = label;
    theme.setAttribute('aria-label', label);
  });
  return h('header', { class: 'bar' },
    h('h1', { class: 'brand' }, h('span', { class: 'brand-mark', aria: { hidden: 'true' } }), h('span', {}, store.now.config.title || texts.product)),
    counts, h('span', { class: 'grow' }), link, theme, account(app));
}

function account(app: App): HTMLElement {
  const { store } = app;
  const { user, role } = store.now.session;
  const menu = h('div', { class: 'menu', hidden: true, role: 'menu' },
    h('div', { class: 'menu-head' }, texts.account.signedInAs(user, role)),
    h('button', { type: 'button', role: 'menuitem', onclick: () => {
      choosePassword(user, false).then((saved) => {
        if (saved) app.toast(texts.password.saved);
      }).catch(app.report);
    } }, texts.account.changePassword),
    h('button', { type: 'button', role: 'menuitem', onclick: () => showSecondFactor(app.report) }, texts.account.secondFactor),
    h('button', { type: 'button', role: 'menuitem', onclick: showSettings }, texts.settings.title),
    h('button', { type: 'button', role: 'menuitem', onclick: () => showPeople(app) }, texts.people.title),
    role === 'owner' && h('button', { type: 'button', role: 'menuitem', onclick: showChanges }, texts.changes.title),
    h('button', { type: 'button', role: 'menuitem', onclick: () => {
      api.signOut().then(leave).catch(app.report);
    } }, texts.account.signOut));
  return menuBehind(iconButton('user', texts.account.menu, () => undefined), menu);
}

function showHelp(): void {
  const dialog: HTMLDialogElement = h('dialog', { class: 'dialog', aria: { label: texts.panels.help }, onclose: () => dialog.remove() },
    h('h2', {}, texts.panels.help),
    h('dl', { class: 'keys' }, ...texts.shortcuts.flatMap(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)])),
    h('form', { method: 'dialog' }, h('button', { type: 'submit', class: 'button' }, texts.close)));
  document.body.append(dialog);
  dialog.showModal();
}

/** `taken` lets drawing and replay have their keys first. */
export function bindKeys(app: App, taken: (key: string) => boolean): void {
  const { store } = app;
  document.addEventListener('keydown', (event) => {
    // Who had the key first, such as an editor's list of completions, keeps it.
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const target = event.target;
    if (target instanceof HTMLElement && target.matches('input, textarea, select, [contenteditable=true]')) {
      if (event.key === 'Escape') target.blur();
      return;
    }
    // Space presses the focused button.
    if (event.key === ' ' && target instanceof HTMLButtonElement) return;
    if (taken(event.key) || shortcut(event.key)) event.preventDefault();
  });

  function shortcut(key: string): boolean {
    const lower = key.toLowerCase();
    const panel = KEYS[lower];
    if (panel) app.openPanel(store.now.panel === panel ? null : panel);
    else if (key === '/') {
      app.openPanel('vehicles');
      document.querySelector<HTMLInputElement>('[data-search]')?.focus();
    } else if (lower === 'n') store.set({ options: { ...store.now.options, labels: !store.now.options.labels } });
    else if (lower === 'g') app.cycleGrouping();
    else if (lower === 'd') app.toggleTheme();
    else if (lower === 's') app.cycleColouring();
    else if (lower === 'm') app.view.tools.measure();
    else if (lower === 'h') app.view.tools.heat();
    else if (key === '?') showHelp();
    else if (key === 'Escape') {
      if (store.now.selected) app.select('live', null);
      else app.openPanel(null);
    } else return false;
    return true;
  }
}
