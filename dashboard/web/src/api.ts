/** The REST interface. Every failure is an ApiError whose message can be shown. */

import { texts } from './texts';
import type {
  AcknowledgementInfo, AuditAnswer, ChannelEdit, ChannelInfo, CommandInfo, CommandRequest, DeliveriesAnswer, DeviceAccessInfo, DeviceDetails, DeviceEdit, DeviceInfo, DeviceTokenAnswer, EventsAnswer, ExportRequest,
  GeofenceCollection, GeofenceFeature, NotificationRuleEdit,
  NewShareLinkAnswer, NewShareLinkRequest, NewTokenAnswer, NewTokenRequest, NewUserRequest, NotificationRuleInfo, PageConfig, PreferencesInfo, RangeAnswer, RecoveryCodes, ReportEdit, ReportInfo,
  SavedQueryEdit, SavedQueryInfo, SecondFactorInfo, SecondFactorProposal, SecondFactorStart, SessionInfo, ShareLinkInfo, SqlAnswer, TokenInfo, TrackAnswer, UserEdit,
  NewTransferAnswer, TransferInfo, TransferRedemption, UnknownDeviceInfo, UnknownDevicePolicyName, UnknownDeviceRuleInfo, UserInfo, UserLink,
} from './wire/types';

export class ApiError extends Error {
  /** HTTP status; 0 if the server was not reached. */
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** Devices named in one address: a longer one may be refused on its way. */
export const NAMED_AT_MOST = 200;

export type TrackFormat = 'csv' | 'gpx' | 'geojson' | 'kml' | 'parquet' | 'xlsx';

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
  /** `code` of the second factor: empty until it has been asked for, with status 428. */
  signIn: (user: string, password: string, code: string) => send('POST', address('session'), { user, password, ...(code === '' ? {} : { code }) }),
  signOut: () => send('DELETE', address('session')),
  /** `present`: empty until it has been asked for, with status 428. */
  setPassword: (password: string, present: string) => send('PUT', address('session/password'), { password, ...(present === '' ? {} : { present }) }),
  /** In whatever browser. */
  setPreferences: (preferences: PreferencesInfo) => send('PUT', address('session/preferences'), preferences),
  secondFactor: () => json<SecondFactorInfo>('GET', address('session/second-factor')),
  proposeSecondFactor: () => json<SecondFactorProposal>('POST', address('session/second-factor')),
  startSecondFactor: (start: SecondFactorStart) => json<RecoveryCodes>('PUT', address('session/second-factor'), start),
  endSecondFactor: (code: string) => send('POST', address('session/second-factor/removal'), { code }),
  resetSecondFactor: (user: string) => send('DELETE', address(`users/${id(user)}/second-factor`)),
  users: () => json<UserInfo[]>('GET', address('users')),
  inviteUser: (user: NewUserRequest) => json<UserLink>('POST', address('users'), user),
  changeUser: (user: string, edit: UserEdit) => send('PUT', address(`users/${id(user)}`), edit),
  deleteUser: (user: string) => send('DELETE', address(`users/${id(user)}`)),
  linkOfUser: (user: string) => json<UserLink>('POST', address(`users/${id(user)}/link`)),
  tokens: () => json<TokenInfo[]>('GET', address('tokens')),
  createToken: (token: NewTokenRequest) => json<NewTokenAnswer>('POST', address('tokens'), token),
  deleteToken: (token: string) => send('DELETE', address(`tokens/${id(token)}`)),
  device: (device: string) => json<DeviceDetails>('GET', address(`devices/${id(device)}`)),
  editDevice: (device: DeviceInfo) =>
    send('PUT', address(`devices/${id(device.id)}`), { name: device.name, fleet: device.fleet }),
  /** Oldest first. */
  commands: (device: string) => json<CommandInfo[]>('GET', address(`devices/${id(device)}/commands`)),
  sendCommand: (device: string, command: CommandRequest) => json<CommandInfo>('POST', address(`devices/${id(device)}/commands`), command),
  cancelCommand: (device: string, command: string) => send('DELETE', address(`devices/${id(device)}/commands/${id(command)}`)),
  deviceAccess: (device: string) => json<DeviceAccessInfo>('GET', address(`devices/${id(device)}/access`)),
  makeDeviceToken: (device: string) => json<DeviceTokenAnswer>('POST', address(`devices/${id(device)}/token`)),
  revokeDeviceToken: (device: string) => send('DELETE', address(`devices/${id(device)}/token`)),
  setDeviceAddresses: (device: string, addresses: string[]) => json<DeviceAccessInfo>('PUT', address(`devices/${id(device)}/addresses`), { addresses }),
  shareLinks: (device: string) => json<ShareLinkInfo[]>('GET', address(`devices/${id(device)}/share-links`)),
  createShareLink: (device: string, link: NewShareLinkRequest) =>
    json<NewShareLinkAnswer>('POST', address(`devices/${id(device)}/share-links`), link),
  endShareLink: (device: string, link: string) => send('DELETE', address(`devices/${id(device)}/share-links/${id(link)}`)),
  unknownDevices: () => json<UnknownDeviceInfo[]>('GET', address('unknown-devices')),
  adoptUnknownDevice: (device: string, edit: DeviceEdit) => send('POST', address(`unknown-devices/${id(device)}/adopt`), edit),
  dismissUnknownDevice: (device: string) => send('DELETE', address(`unknown-devices/${id(device)}`)),
  /** Null: as the installation says. */
  unknownDevicePolicy: async () => (await json<UnknownDeviceRuleInfo>('GET', address('unknown-device-policy'))).policy,
  setUnknownDevicePolicy: (policy: UnknownDevicePolicyName | null) => send('PUT', address('unknown-device-policy'), { policy }),
  transfers: () => json<TransferInfo[]>('GET', address('transfers')),
  offerDevice: (device: string) => json<NewTransferAnswer>('POST', address(`devices/${id(device)}/transfer`)),
  withdrawOffer: (device: string) => send('DELETE', address(`devices/${id(device)}/transfer`)),
  redeemTransfer: (redemption: TransferRedemption) => json<DeviceInfo>('POST', address('transfers/redeem'), redemption),
  track: (device: string, from: number, to: number, limit?: number) =>
    json<TrackAnswer>('GET', address(`devices/${id(device)}/track`, { from, to, limit })),
  historyRange: () => json<RangeAnswer>('GET', address('history/range')),
  /** The newest received last, at or before a time of reception. */
  events: (query: { after?: string; from?: number; to?: number; received_to?: number; kind?: string; device?: string; fleet?: string; limit?: number }) =>
    json<EventsAnswer>('GET', address('events', query)),
  /** At most 1,000. */
  acknowledge: (event_ids: readonly string[], note?: string) =>
    json<AcknowledgementInfo[]>('POST', address('alerts/acknowledgements'), { event_ids, note }),
  takeBackAcknowledgement: (event: string) => send('DELETE', address(`alerts/${id(event)}/acknowledgement`)),
  fences: () => json<GeofenceCollection>('GET', address('geofences')),
  createFence: (fence: GeofenceFeature) => json<GeofenceFeature>('POST', address('geofences'), fence),
  /** GeoJSON, KML or well-known text. */
  importFences: (text: string) => json<GeofenceCollection>('POST', address('geofences/import'), text),
  /** Refused if it is not the version that the server has. */
  changeFence: (fence: GeofenceFeature) => json<GeofenceFeature>('PUT', address(`geofences/${id(fence.properties.id)}`), fence),
  deleteFence: (fence: string) => send('DELETE', address(`geofences/${id(fence)}`)),
  channels: () => json<ChannelInfo[]>('GET', address('notifications/channels')),
  createChannel: (channel: ChannelEdit) => send('POST', address('notifications/channels'), channel),
  changeChannel: (channel: string, edit: ChannelEdit) => send('PUT', address(`notifications/channels/${id(channel)}`), edit),
  deleteChannel: (channel: string) => send('DELETE', address(`notifications/channels/${id(channel)}`)),
  /** What becomes of it is a delivery. */
  testChannel: (channel: string) => send('POST', address(`notifications/channels/${id(channel)}/test`)),
  notificationRules: () => json<NotificationRuleInfo[]>('GET', address('notifications/rules')),
  createNotificationRule: (rule: NotificationRuleEdit) => send('POST', address('notifications/rules'), rule),
  changeNotificationRule: (rule: string, edit: NotificationRuleEdit) => send('PUT', address(`notifications/rules/${id(rule)}`), edit),
  deleteNotificationRule: (rule: string) => send('DELETE', address(`notifications/rules/${id(rule)}`)),
  reports: () => json<ReportInfo[]>('GET', address('notifications/reports')),
  createReport: (report: ReportEdit) => send('POST', address('notifications/reports'), report),
  changeReport: (report: string, edit: ReportEdit) => send('PUT', address(`notifications/reports/${id(report)}`), edit),
  deleteReport: (report: string) => send('DELETE', address(`notifications/reports/${id(report)}`)),
  deliveries: (state: string) => json<DeliveriesAnswer>('GET', address('notifications/deliveries', { state: state || null })),
  retryDelivery: (delivery: string) => send('POST', address(`notifications/deliveries/${id(delivery)}/retry`)),
  /** For owners. `before`: the cursor of the page before. */
  changes: (query: { kind: string | null; user: string | null; before: string | null }) => json<AuditAnswer>('GET', address('audit', query)),
  sql: (query: string) => json<SqlAnswer>('POST', address('sql'), { query, format: 'json' }),
  sqlCsv: async (query: string): Promise<Blob> => (await send('POST', address('sql'), { query, format: 'csv' })).blob(),
  /** By name. */
  queries: () => json<SavedQueryInfo[]>('GET', address('queries')),
  createQuery: (query: SavedQueryEdit) => json<SavedQueryInfo>('POST', address('queries'), query),
  changeQuery: (query: string, edit: SavedQueryEdit) => json<SavedQueryInfo>('PUT', address(`queries/${id(query)}`), edit),
  deleteQuery: (query: string) => send('DELETE', address(`queries/${id(query)}`)),
  /** `device` null: all. */
  exportUrl: (format: TrackFormat, device: string | null, from: number, to: number): string => address('export', { format, device, from, to }),
  exportTracks: async (request: ExportRequest & { format: TrackFormat }): Promise<Blob> => (await send('POST', address('export'), request)).blob(),
};

/** What to tell about anything caught. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : texts.failed);
