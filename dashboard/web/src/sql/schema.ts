/** What a query can name, as the server tells it. */

import { api } from '../api';
import { texts } from '../texts';

export interface SqlFunction { name: string; signature: string; about: string }
export interface SqlSchema {
  /** Columns by table. */
  tables: Record<string, string[]>;
  functions: SqlFunction[];
}

const TABLES = `SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`;
const FUNCTIONS = `SELECT DISTINCT routine_name, syntax_example, description FROM information_schema.routines
WHERE routine_name ~ '^[a-z]' ORDER BY routine_name`;

const text = (value: unknown): string => (value === null || value === undefined ? '' : String(value));

export function schemaOf(columns: readonly unknown[][], functions: readonly unknown[][]): SqlSchema {
  const tables: Record<string, string[]> = {};
  for (const [table, column] of columns) (tables[text(table)] ??= []).push(text(column));
  const known = new Map<string, SqlFunction>();
  for (const [name, signature, about] of functions) {
    const before = known.get(text(name));
    // One function has a row for each of its types.
    if (!before || before.about === '') known.set(text(name), { name: text(name), signature: text(signature), about: text(about) });
  }
  return { tables, functions: [...known.values()] };
}

export async function loadSchema(): Promise<SqlSchema> {
  const [columns, functions] = await Promise.all([api.sql(TABLES), api.sql(FUNCTIONS).catch(() => ({ rows: [] }))]);
  return schemaOf(columns.rows, functions.rows);
}

/** `name(…)` for who has no example of it. */
export const signatureOf = ({ name, signature }: SqlFunction): string => (signature === '' ? texts.sql.someArguments(name) : signature);
