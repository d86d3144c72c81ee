/** What one vehicle was told, how far that has come, and telling it more. */

import { api, messageOf } from '../api';
import type { App } from '../app';
import { time, utc } from '../format';
import { mayEdit } from '../roles';
import { texts } from '../texts';
import { field, h, iconButton, options, setText, timeElement } from '../ui/dom';
import { submitting } from '../ui/submitting';
import type { CommandInfo, CommandRequest } from '../wire/types';

const SHOWN = 10;
const EXPIRIES_S = [600, 3600, 86_400, 7 * 86_400];
const USUAL_EXPIRY_S = 86_400;
/** The event of a command is told just before its new state is known. */
const AFTER_EVENT_MS = 1_000;

type Instruction = keyof typeof texts.commands.instructions;
type NumberPart = 'seconds' | 'output' | 'minutes' | 'radius_m';
type TextPart = 'url' | 'text' | 'hex';
export type Part = NumberPart | TextPart | 'on';

const PARTS: Record<Instruction, readonly Part[]> = {
  request_position: [], report_every: ['seconds'], engine_stop: [], engine_resume: [], set_output: ['output', 'on'], restart: [],
  set_utc_offset: ['minutes'], movement_alarm: ['radius_m'], update_firmware: ['url'], text: ['text'], bytes: ['hex'],
};
/** Wrongly told, these strand a vehicle. */
const GRAVE: ReadonlySet<Instruction> = new Set<Instruction>(['engine_stop', 'update_firmware']);
const LIMITS: Record<NumberPart, [least: number, most: number]> = { seconds: [1, 86_400], output: [0, 255], minutes: [-840, 840], radius_m: [0, 65_535] };

const PART_NAMES = Object.keys(texts.commands.parts) as Part[];
const isInstruction = (name: string): name is Instruction => name in PARTS;
const isNumber = (part: Part): part is NumberPart => part in LIMITS;
export const instructionName = (name: string): string => (isInstruction(name) ? texts.commands.instructions[name] : name);

/** Only the fields that this instruction has. */
export function requestOf(instruction: Instruction, expires_in_s: number, value: (part: Part) => string | boolean): CommandRequest {
  const request: CommandRequest = { instruction, expires_in_s };
  for (const part of PARTS[instruction]) {
    if (part === 'on') request.on = value(part) === true;
    else if (isNumber(part)) request[part] = Number(value(part));
    else request[part] = String(value(part)).trim();
  }
  return request;
}

/** It waits, or is on its way: it soon changes. */
const isOpen = ({ state }: CommandInfo): boolean => state === 'queued' || state === 'sending';

export interface CommandList {
  element: HTMLElement;
  show: (device: string) => Promise<void>;
  refresh: () => Promise<void>;
  /** The same, while a command is on its way. */
  follow: () => Promise<void>;
}

export function commandList(app: App): CommandList {
  let shown = '';
  let commands: CommandInfo[] = [];
  const list = h('ul', { class: 'plain-list', aria: { label: texts.commands.title } });
  const none = h('p', { class: 'muted' }, texts.commands.none);
  const open = h('button', { type: 'button', class: 'button small', onclick: () => toggle(true) }, texts.commands.open);

  const kind = h('select', { onchange: () => choose() });
  options(kind, Object.entries(texts.commands.instructions) as [Instruction, string][], 'request_position');
  const expiry = h('select', {});
  options(expiry, EXPIRIES_S.map((s) => [String(s), texts.commands.expiries[s] ?? ''] as const), String(USUAL_EXPIRY_S));
  const inputOf = (part: Part): HTMLInputElement => {
    if (part === 'on') return h('input', { type: 'checkbox' });
    if (!isNumber(part)) return h('input', { required: true, maxLength: 512 });
    const [min, max] = LIMITS[part].map(String);
    return h('input', { type: 'number', required: true, min, max });
  };
  const inputs = new Map(PART_NAMES.map((part) => {
    const input = inputOf(part), label = texts.commands.parts[part];
    return [part, { input, box: part === 'on' ? h('label', { class: 'check' }, input, label) : field(label, input) }];
  }));
  const valueOf = (part: Part): string | boolean => {
    const input = inputs.get(part)?.input;
    return part === 'on' ? input?.checked === true : input?.value ?? '';
  };
  const error = h('p', { class: 'error', role: 'alert' });
  const form = h('form', {
    class: 'command-form', hidden: true, onsubmit: submitting(() => send(), (e) => setText(error, messageOf(e))),
  }, field(texts.commands.what, kind), ...[...inputs.values()].map(({ box }) => box), field(texts.commands.expiry, expiry), error,
  h('div', { class: 'button-row' }, h('button', { type: 'submit', class: 'button small primary' }, texts.commands.send),
    h('button', { type: 'button', class: 'button small', onclick: () => toggle(false) }, texts.cancel)));
  const telling = h('div', {}, open, form);
  const element = h('div', { class: 'commands' }, h('h3', {}, texts.commands.title), none, list, telling);

  function choose(): void {
    const parts = PARTS[kind.value as Instruction];
    for (const [part, { input, box }] of inputs) {
      box.hidden = !parts.includes(part);
      // What is not seen need not be filled in.
      input.disabled = box.hidden;
    }
  }

  function toggle(on: boolean): void {
    form.hidden = !on;
    open.hidden = on;
    setText(error, '');
    if (on) kind.focus();
  }

  async function send(): Promise<void> {
    const device = shown, instruction = kind.value as Instruction;
    if (GRAVE.has(instruction) && !confirm(texts.commands.confirm(instructionName(instruction)))) return;
    await api.sendCommand(device, requestOf(instruction, Number(expiry.value), valueOf));
    if (shown !== device) return;
    toggle(false);
    await refresh();
  }

  async function cancel({ device, id }: CommandInfo): Promise<void> {
    try {
      await api.cancelCommand(device, id);
    } finally {
      await refresh();
    }
  }

  function render(): void {
    none.hidden = commands.length > 0;
    const newest = commands.slice(-SHOWN).reverse();
    list.replaceChildren(...newest.map((command) => {
      const at = command.changed_at ?? command.queued_at;
      const parameters = Object.values(command.parameters).map(String).join(', ');
      const sub = [texts.commands.states[command.state] ?? command.state, command.note ?? '', texts.commands.by(command.by)].filter((text) => text !== '').join(' · ');
      return h('li', { class: 'list-item', data: { command: command.state } },
        h('div', { class: 'list-main' }, h('span', { class: 'row-main' },
          h('span', { class: 'row-name' }, `${instructionName(command.instruction)}${parameters === '' ? '' : `: ${parameters}`}`),
          h('span', { class: 'row-sub', title: sub }, sub)),
        h('span', { class: 'row-side' }, timeElement(time(at), utc(at)))),
        mayEdit(app.store.now) && command.state === 'queued' && iconButton('close', texts.commands.takeBack, () => {
          cancel(command).catch(app.report);
        }));
    }));
  }

  async function refresh(): Promise<void> {
    const device = shown;
    const fresh = await api.commands(device);
    if (shown !== device) return;
    // A list that is the same keeps the focus of its buttons.
    if (JSON.stringify(fresh) === JSON.stringify(commands)) return;
    commands = fresh;
    render();
  }

  app.engine.on('alert', ({ device, kind: happened }) => {
    if (device === shown && happened.startsWith('command_')) setTimeout(() => void refresh().catch(() => undefined), AFTER_EVENT_MS);
  });
  app.store.on(['session'], (state) => {
    telling.hidden = !mayEdit(state);
    // Rows have buttons or not.
    render();
  });
  choose();
  return {
    element,
    refresh,
    follow: async () => {
      if (commands.some(isOpen)) await refresh();
    },
    show: (device) => {
      shown = device;
      commands = [];
      render();
      toggle(false);
      return refresh();
    },
  };
}
