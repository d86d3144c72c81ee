/** Values as SQL writes them. */

export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
/** Of milliseconds since the Unix epoch. */
export const moment = (ms: number): string => literal(new Date(ms).toISOString());
