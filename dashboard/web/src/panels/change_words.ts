/** What a change says in a sentence, and what differs between before and after. */

import { texts } from '../texts';
import type { ChangeInfo } from '../wire/types';

export interface Difference {
  field: string;
  /** Null: there was none, or there is none any more. */
  was: string | null;
  is: string | null;
}

/** Longest value that is shown whole. */
const MAX_CHARACTERS = 80;
/** Told by the sentence already. */
const OF_EVERYTHING = ['id', 'organisation'];

export function whoMade(change: ChangeInfo): string {
  if (change.user !== null) return change.user;
  if (change.by === 'program') return texts.changes.program(change.doing ?? '');
  return texts.changes.who[change.by];
}

/** How that one was known, and from where. */
export const accessOf = (change: ChangeInfo): string =>
  [...(change.via === null ? [] : [texts.changes.via[change.via](change.access ?? '')]), ...(change.address === null ? [] : [change.address])].join(', ');

export function sentence(change: ChangeInfo): string {
  const who = whoMade(change);
  const named = change.after?.['name'] ?? change.before?.['name'];
  const name = typeof named === 'string' && named !== '' ? named : change.thing;
  const thing = `${texts.changes.things[change.kind] ?? change.kind} ${name}`;
  switch (change.change) {
    case 'put': return change.before === null ? texts.changes.made(who, thing) : texts.changes.changed(who, thing);
    case 'removed': return texts.changes.removed(who, thing);
    case 'password_changed': return texts.changes.passwordChanged(who, thing);
    case 'signed_in': return texts.changes.signedIn(who);
    case 'signed_out': return texts.changes.signedOut(who);
    case 'tested': return texts.changes.tested(who, thing);
    case 'retried': return texts.changes.retried(who);
    case 'sign_in_failed': return texts.changes.signInFailed(name);
  }
}

function shown(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'object' && 'bytes' in value && 'sha256' in value) return texts.changes.long(Number(value.bytes), String(value.sha256));
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text;
}

/** The fields that are another than before; of what is new or gone all but its name, which the sentence tells. */
export function differences({ before, after }: ChangeInfo): Difference[] {
  const told = before === null || after === null ? [...OF_EVERYTHING, 'name'] : OF_EVERYTHING;
  const fields = new Set([...Object.keys(after ?? {}), ...Object.keys(before ?? {})].filter((field) => !told.includes(field)));
  return [...fields].filter((field) => JSON.stringify(before?.[field] ?? null) !== JSON.stringify(after?.[field] ?? null))
    .map((field) => ({ field: field.replaceAll('_', ' '), was: shown(before?.[field]), is: shown(after?.[field]) }));
}
