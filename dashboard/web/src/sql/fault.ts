/** Where in a query the server's complaint belongs. */

export interface Span { from: number; to: number }

const LINE_AND_COLUMN = /line:? (\d+), column:? (\d+)/i;
/** The unknown thing is named in the message, perhaps with its table, perhaps in quotes. */
const UNKNOWN = /(?:no field named|table|function|column)\s+['"`]?([\w."]+)['"`]?/gi;

const endOfWord = (query: string, from: number): number => from + (/^\w+/.exec(query.slice(from))?.[0].length ?? 1);

/** Null if the message tells no place. */
export function faultSpan(query: string, message: string): Span | null {
  const told = LINE_AND_COLUMN.exec(message);
  if (told) {
    const lines = query.split('\n');
    const line = Math.min(Number(told[1]), lines.length) - 1;
    const before = lines.slice(0, line).reduce((sum, l) => sum + l.length + 1, 0);
    const from = Math.min(query.length, before + Math.min(Number(told[2]) - 1, lines[line].length));
    return { from, to: Math.min(query.length, endOfWord(query, from)) };
  }
  for (const [, named] of message.matchAll(UNKNOWN)) {
    const name = named.replaceAll('"', '').split('.').findLast((part) => part !== '') ?? '';
    const at = name === '' ? -1 : query.search(new RegExp(`\\b${name}\\b`, 'i'));
    if (at >= 0) return { from: at, to: at + name.length };
  }
  return null;
}
