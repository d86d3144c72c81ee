/** Values in SQL that the page writes itself. */

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
export const moment = (ms: number): string => literal(new Date(ms).toISOString());
