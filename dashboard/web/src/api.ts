/** The REST interface. Every failure is an ApiError whose message can be shown. */

import { texts } from './texts';
import type {
  DeviceDetails, DeviceInfo, EventsAnswer, GeofenceCollection, GeofenceFeature, PageConfig, RangeAnswer, SessionInfo, SqlAnswer,
  TrackAnswer,
} from './wire/types';

export class ApiError extends Error {
  /** HTTP status; 0 if the server was not reached. */
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

type Query = Record<string, string | number | null | undefined>;

export function address(path: string, query: Query = {}): string {
  const parts = Object.entries(query).flatMap(([k, v]) =>
    v === null || v === undefined ? [] : [`${encodeURIComponent(k)}=${encodeURIComponent(v)}`]);
  return `api/${path}${parts.length ? `?${parts.join('&')}` : ''}`;
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  let response: Response;
  const text = typeof body === 'string';
  try {
    response = await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: { 'x-waystream': '1', ...(body === undefined ? {} : { 'content-type': text ? 'text/plain' : 'application/json' }) },
      ...(body === undefined ? {} : { body: text ? body : JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, texts.unreachable);
  }
  if (response.ok) return response;
  const answer: unknown = await response.json().catch(() => null);
  const told = answer && typeof answer === 'object' && 'error' in answer ? String(answer.error) : '';
  throw new ApiError(response.status, told || `${texts.failed} (${response.status})`);
}

async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  return (await response.json()) as T;
}

const id = encodeURIComponent;

export const api = {
  config: () => json<PageConfig>('GET', address('config')),
  session: () => json<SessionInfo>('GET', address('session')),
  signIn: (user: string, password: string) => send('POST', address('session'), { user, password }),
  signOut: () => send('DELETE', address('session')),
  setPassword: (password: string) => send('PUT', address('session/password'), { password }),
  device: (device: string) => json<DeviceDetails>('GET', address(`devices/${id(device)}`)),
  editDevice: (device: DeviceInfo) =>
    send('PUT', address(`devices/${id(device.id)}`), { name: device.name, fleet: device.fleet }),
  track: (device: string, from: number, to: number, limit?: number) =>
    json<TrackAnswer>('GET', address(`devices/${id(device)}/track`, { from, to, limit })),
  historyRange: () => json<RangeAnswer>('GET', address('history/range')),
  events: (query: { after?: string; from?: number; to?: number; kind?: string; device?: string; limit?: number }) =>
    json<EventsAnswer>('GET', address('events', query)),
  fences: () => json<GeofenceCollection>('GET', address('geofences')),
  createFence: (fence: GeofenceFeature) => json<GeofenceFeature>('POST', address('geofences'), fence),
  /** GeoJSON, KML or well-known text. */
  importFences: (text: string) => json<GeofenceCollection>('POST', address('geofences/import'), text),
  changeFence: (fence: GeofenceFeature) => send('PUT', address(`geofences/${id(fence.properties.id)}`), fence),
  deleteFence: (fence: string) => send('DELETE', address(`geofences/${id(fence)}`)),
  sql: (query: string) => json<SqlAnswer>('POST', address('sql'), { query, format: 'json' }),
  sqlCsv: async (query: string): Promise<Blob> => (await send('POST', address('sql'), { query, format: 'csv' })).blob(),
  /** `device` null: all. */
  exportUrl: (format: 'csv' | 'gpx' | 'geojson', device: string | null, from: number, to: number): string =>
    address('export', { format, device, from, to }),
};

/** What to tell about anything caught. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : texts.failed);
