// Written from dashboard/gateway/src/wire.rs by its tests. Don't edit.

/**
 * Every answer that is not a success.
 */
export type ErrorAnswer = {
/**
 * For people.
 */
error: string, };

/**
 * What the page needs before anybody has signed in.
 */
export type PageConfig = {
/**
 * Of the page.
 */
title: string,
/**
 * Of the program.
 */
version: string,
/**
 * Map tiles; `null`: no tiles, coastlines only.
 */
tiles: TileSource | null, };

/**
 * Where map tiles come from.
 */
export type TileSource = {
/**
 * With `{z}`, `{x}`, `{y}` and perhaps `{s}`.
 */
url: string,
/**
 * HTML to show on the map.
 */
attribution: string,
/**
 * Deepest zoom level there is.
 */
max_zoom: number, };

/**
 * Signing in.
 */
export type SignIn = {
/**
 * Sign-in name.
 */
user: string,
/**
 * As typed.
 */
password: string, };

/**
 * Choosing a password.
 */
export type NewPassword = {
/**
 * At least 10 characters.
 */
password: string, };

/**
 * Who is signed in.
 */
export type SessionInfo = {
/**
 * Sign-in name.
 */
user: string,
/**
 * Whose fleets are seen.
 */
organisation: string,
/**
 * `owner`, `dispatcher` or `viewer`.
 */
role: "owner" | "dispatcher" | "viewer",
/**
 * False until the user has chosen one.
 */
has_password: boolean,
/**
 * All that the session may see.
 */
fleets: Array<FleetInfo>, };

/**
 * A fleet.
 */
export type FleetInfo = {
/**
 * Key.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * What is told otherwise of its devices: `leave_m`, `stop_after_s`, `gap_s`, `speed_limit_mps`.
 */
rules?: Record<string, number>, };

/**
 * A new or changed fleet.
 */
export type FleetEdit = {
/**
 * Key of a new fleet; made from the name if missing. Not for changes.
 */
id?: string,
/**
 * For people.
 */
name: string,
/**
 * What is told otherwise of its devices; missing: as before.
 */
rules?: Record<string, number>, };

/**
 * Something to tell a device.
 */
export type CommandRequest = {
/**
 * `engine_stop`, `engine_resume`, `request_position`, `report_every`, `set_output`, `restart`, `set_utc_offset`,
 * `movement_alarm`, `update_firmware`, `text` or `bytes`; each but the first three and `restart` has fields below.
 */
instruction: string,
/**
 * Of `report_every`: 1 to 86,400.
 */
seconds?: number,
/**
 * Of `set_output`: which, counted as the maker does.
 */
output?: number,
/**
 * Of `set_output`.
 */
on?: boolean,
/**
 * Of `set_utc_offset`: east of Greenwich is positive.
 */
minutes?: number,
/**
 * Of `movement_alarm`.
 */
radius_m?: number,
/**
 * Of `update_firmware`.
 */
url?: string,
/**
 * Of `text`: the maker's own command.
 */
text?: string,
/**
 * Of `bytes`: two hexadecimal digits each.
 */
hex?: string,
/**
 * Not sent any more after so many seconds; a day by default, 30 days at most.
 */
expires_in_s?: number, };

/**
 * Something that a device is told.
 */
export type CommandInfo = {
/**
 * Key, together with the device.
 */
id: string,
/**
 * Who is told.
 */
device: string,
/**
 * What: see [`CommandRequest`].
 */
instruction: string,
/**
 * Its fields.
 */
parameters: Record<string, unknown>,
/**
 * The user who told it.
 */
by: string,
/**
 * When it was given.
 */
queued_at: number,
/**
 * Not sent any more from then on.
 */
expires_at: number,
/**
 * `queued`, `sending`, `sent`, `answered`, `failed`, `expired`, `cancelled`, or `uncertain`: nobody knows whether it was sent.
 */
state: string,
/**
 * Since when it is in this state; `null` while it is queued.
 */
changed_at: number | null,
/**
 * What the device answered, or why the command failed.
 */
note: string | null, };

/**
 * A device.
 */
export type DeviceInfo = {
/**
 * What the device calls itself.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * Key of its fleet.
 */
fleet: string, };

/**
 * A new or changed device.
 */
export type DeviceEdit = {
/**
 * For people.
 */
name: string,
/**
 * Key of its fleet.
 */
fleet: string, };

/**
 * A device with what is known of it now.
 */
export type DeviceDetails = {
/**
 * What the device calls itself.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * Key of its fleet.
 */
fleet: string,
/**
 * The newest valid position.
 */
position: PositionInfo | null,
/**
 * When that position reached us.
 */
received_at: number | null,
/**
 * How it reached us.
 */
protocol: string | null,
/**
 * Geofences that the device is inside of.
 */
inside: Array<InsideInfo>, };

/**
 * To be shown on every open dashboard of the organisation.
 */
export type NewNotice = {
/**
 * What it says.
 */
text: string, };

/**
 * What became of a notice.
 */
export type NoticeAnswer = {
/**
 * Dashboards that have shown it.
 */
shown: number, };

/**
 * Socket.IO event `notice`; its acknowledgement says that it is shown.
 */
export type NoticeMessage = {
/**
 * What it says.
 */
text: string,
/**
 * Who says so.
 */
from: string,
/**
 * When, milliseconds since the Unix epoch.
 */
at: number, };

/**
 * Who has a dashboard open.
 */
export type PresenceAnswer = {
/**
 * Sign-in names.
 */
users: Array<string>, };

/**
 * A way to notify.
 */
export type ChannelInfo = {
/**
 * Key.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * What kind it is.
 */
type: "webhook" | "email" | "mqtt",
/**
 * Of a webhook.
 */
url?: string,
/**
 * Of e-mail: recipients.
 */
to?: Array<string>,
/**
 * Of MQTT: the topic behind the server's prefix.
 */
topic?: string, };

/**
 * A new or changed way to notify.
 */
export type ChannelEdit = {
/**
 * For people.
 */
name: string,
/**
 * What kind it is.
 */
type: "webhook" | "email" | "mqtt",
/**
 * Of a webhook: `https://…`.
 */
url?: string,
/**
 * Of a webhook: what requests are signed with, 16 to 256 bytes. It is never shown; in a change, missing means as before.
 */
secret?: string,
/**
 * Of e-mail: 1 to 50 recipients.
 */
to?: Array<string>,
/**
 * Of MQTT: with `{organisation}`, `{fleet}`, `{device}`, `{kind}`, `{geofence}` for what the event says.
 */
topic?: string, };

/**
 * Weekly hours in a time zone, with exceptions by date.
 */
export type QuietHours = {
/**
 * Name in the IANA database: `Europe/Warsaw`.
 */
time_zone: string,
/**
 * `mon-fri 22:00-06:00` (until the next morning), `sun 00:00-24:00`.
 */
hours: Array<string>,
/**
 * Days on which none begin: `2026-12-25`.
 */
closed?: Array<string>, };

/**
 * Which events are told.
 */
export type NotificationRuleInfo = {
/**
 * Key.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * Off: tells nothing.
 */
enabled: boolean,
/**
 * Kinds of events, at least one: `enter`, `exit`, `alarm`, …
 */
kinds: Array<string>,
/**
 * Keys of fleets; none: all.
 */
fleets: Array<string>,
/**
 * Keys of geofences; none: any, and events about none.
 */
geofences: Array<string>,
/**
 * Nothing is told while these run, nor afterwards.
 */
quiet_hours: QuietHours | null,
/**
 * After an event of a device was told, further ones of it are not for so many minutes; at most 1440.
 */
at_most_every_min: number,
/**
 * Key of the channel.
 */
channel: string, };

/**
 * A new or changed rule.
 */
export type NotificationRuleEdit = {
/**
 * For people.
 */
name: string,
/**
 * Off: tells nothing.
 */
enabled: boolean,
/**
 * Kinds of events, at least one: `enter`, `exit`, `alarm`, …
 */
kinds: Array<string>,
/**
 * Keys of fleets; none: all.
 */
fleets: Array<string>,
/**
 * Keys of geofences; none: any, and events about none.
 */
geofences: Array<string>,
/**
 * Nothing is told while these run, nor afterwards.
 */
quiet_hours: QuietHours | null,
/**
 * After an event of a device was told, further ones of it are not for so many minutes; at most 1440.
 */
at_most_every_min: number,
/**
 * Key of the channel.
 */
channel: string, };

/**
 * One notification over one channel.
 */
export type DeliveryInfo = {
/**
 * Key: receivers see the same, however often it is tried.
 */
id: string,
/**
 * Key of the rule; `null`: a test.
 */
rule: string | null,
/**
 * Key of the channel.
 */
channel: string,
/**
 * What is told, in a sentence.
 */
headline: string,
/**
 * Id of the event.
 */
event_id: string | null,
/**
 * Of the event.
 */
kind: string | null,
/**
 * Of the event.
 */
device: string | null,
/**
 * Of the event.
 */
fix_time: number | null,
/**
 * When it was decided that it is told.
 */
matched_at: number,
/**
 * What has become of it.
 */
state: "pending" | "delivered" | "dead",
/**
 * Since when.
 */
changed_at: number,
/**
 * So far; those before somebody had it tried again are not counted.
 */
attempts: number,
/**
 * Of one that is pending.
 */
next_try_at: number | null,
/**
 * Why it is dead, or why the last attempt failed.
 */
note: string | null, };

/**
 * Deliveries, newest first.
 */
export type DeliveriesAnswer = {
/**
 * Newest first.
 */
deliveries: Array<DeliveryInfo>,
/**
 * There are older ones.
 */
truncated: boolean, };

/**
 * A test is on its way.
 */
export type TestAnswer = {
/**
 * Key of its delivery: look there for what becomes of it.
 */
delivery: string, };

/**
 * A geofence that a device is inside of.
 */
export type InsideInfo = {
/**
 * Key of the geofence.
 */
id: string,
/**
 * Its name.
 */
name: string,
/**
 * Fix time of the enter.
 */
since: number, };

/**
 * One position.
 */
export type PositionInfo = {
/**
 * When the fix was taken.
 */
fix_time: number,
/**
 * Degrees.
 */
lat: number,
/**
 * Degrees.
 */
lon: number,
/**
 * Metres per second.
 */
speed_mps: number | null,
/**
 * Degrees clockwise from true north.
 */
course_deg: number | null,
/**
 * Metres.
 */
altitude_m: number | null,
/**
 * Whether the receiver trusts it.
 */
valid: boolean,
/**
 * Everything else that was reported.
 */
attributes: Record<string, boolean | number | string>, };

/**
 * The positions of one device in a time range.
 */
export type TrackAnswer = {
/**
 * Whose.
 */
device: string,
/**
 * In order of fix time.
 */
positions: Array<PositionInfo>,
/**
 * There are more after the last.
 */
truncated: boolean, };

/**
 * From when to when there is history.
 */
export type RangeAnswer = {
/**
 * First fix time; `null`: there is none.
 */
from: number | null,
/**
 * Last fix time.
 */
to: number | null, };

/**
 * Something that happened to a device.
 */
export type AlertEvent = {
/**
 * The same for the same happening, however often it is told.
 */
event_id: string,
/**
 * Give it as `alerts_after` or `after` to get what comes next; `null` for events of the past.
 */
cursor: string | null,
/**
 * What happened: `enter`, `exit`, `trip_start`, `alarm`, …
 */
kind: string,
/**
 * To whom.
 */
device: string,
/**
 * Its name now.
 */
device_name: string,
/**
 * Key of its fleet at that time.
 */
fleet: string,
/**
 * Key of the geofence.
 */
geofence: string | null,
/**
 * Its name now.
 */
geofence_name: string | null,
/**
 * Of the fix that showed it.
 */
fix_time: number,
/**
 * When that fix reached us.
 */
received_at: number,
/**
 * Degrees.
 */
lat: number,
/**
 * Degrees.
 */
lon: number,
/**
 * A later report showed that this did not happen.
 */
retracted: boolean,
/**
 * Figures that belong to it.
 */
attributes: Record<string, boolean | number | string>, };

/**
 * Some events.
 */
export type EventsAnswer = {
/**
 * Newest last.
 */
events: Array<AlertEvent>,
/**
 * Give it as `alerts_after` or `after` to get what comes next.
 */
cursor: string, };

/**
 * A geofence as a GeoJSON feature.
 */
export type GeofenceFeature = {
/**
 * `Feature`.
 */
type: "Feature",
/**
 * `Polygon`, `MultiPolygon`, `Point` with `radius_m`, or `LineString` with `width_m`.
 */
geometry: { type: "Polygon" | "MultiPolygon" | "Point" | "LineString"; coordinates: unknown },
/**
 * The rest.
 */
properties: GeofenceProperties, };

/**
 * What a geofence has beside its shape.
 */
export type GeofenceProperties = {
/**
 * Key; given by the server.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * Only for this fleet; `null`: for all.
 */
fleet: string | null,
/**
 * `#rrggbb`; `null`: the map chooses.
 */
colour: string | null,
/**
 * Grows with every edit; given by the server.
 */
version: number,
/**
 * Of a circle, metres.
 */
radius_m?: number,
/**
 * Of a corridor, metres.
 */
width_m?: number,
/**
 * Who is inside stays inside until farther away than this, metres.
 */
exit_margin_m?: number,
/**
 * An enter or exit counts when it has lasted this long, seconds.
 */
min_dwell_s?: number,
/**
 * Being inside for this long is told once per visit, seconds.
 */
loitering_s?: number,
/**
 * Faster than this inside is told, metres per second.
 */
speed_limit_mps?: number,
/**
 * A fix that is less accurate than this says nothing about the geofence, metres.
 */
max_accuracy_m?: number,
/**
 * Inside is not below this altitude, metres.
 */
min_altitude_m?: number,
/**
 * Inside is not above this altitude, metres.
 */
max_altitude_m?: number,
/**
 * Going through between two fixes is told.
 */
cross?: boolean,
/**
 * Events are told only in these hours: `{"time_zone": "Europe/Warsaw", "hours": ["mon-fri 08:00-18:00"], "closed": ["2026-12-25"]}`.
 */
schedule?: unknown, };

/**
 * All geofences.
 */
export type GeofenceCollection = {
/**
 * `FeatureCollection`.
 */
type: "FeatureCollection",
/**
 * Sorted by id.
 */
features: Array<GeofenceFeature>, };

/**
 * A query.
 */
export type SqlRequest = {
/**
 * One SELECT.
 */
query: string,
/**
 * `json` if missing.
 */
format?: "json" | "csv" | "arrow" | "parquet", };

/**
 * A query's result.
 */
export type SqlAnswer = {
/**
 * In order.
 */
columns: Array<SqlColumn>,
/**
 * One list of values a row.
 */
rows: unknown[][],
/**
 * There are more rows than may be sent.
 */
truncated: boolean,
/**
 * The query failed after these rows.
 */
error?: string, };

/**
 * A query that an organisation keeps.
 */
export type SavedQueryInfo = {
/**
 * Its id.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * The statement.
 */
query: string, };

/**
 * A query to keep.
 */
export type SavedQueryEdit = {
/**
 * For people.
 */
name: string,
/**
 * The statement.
 */
query: string, };

/**
 * A column.
 */
export type SqlColumn = {
/**
 * Name.
 */
name: string,
/**
 * Arrow's name of its type.
 */
type: string, };

/**
 * Which vehicle is meant by a slot in frames.
 */
export type SlotsMessage = {
/**
 * Changes with every start of the gateway; then forget all slots.
 */
epoch: number,
/**
 * Slot, device id, name, fleet id. A slot may come again with another name or fleet.
 */
slots: Array<[number, string, string, string]>, };

/**
 * Socket.IO `watch`: what to see live. May come again: the new view replaces the old one and starts with a snapshot.
 */
export type WatchRequest = {
/**
 * Keys of fleets; `null`: all of the organisation, also those to come.
 */
fleets: Array<string> | null,
/**
 * Cursor of the last alert seen: those after it are sent first. `null`: only new ones.
 */
alerts_after: string | null, };

/**
 * Answer to `watch`.
 */
export type WatchAnswer = {
/**
 * Of the slot table.
 */
epoch: number,
/**
 * What is watched.
 */
fleets: Array<string>,
/**
 * Where alerts go on from.
 */
cursor: string,
/**
 * Set if nothing is watched: why.
 */
error?: string, };

/**
 * Socket.IO `catalog`: something was edited; `value` is `null` if it is gone.
 */
export type CatalogMessage = { "kind": "fleet",
/**
 * Key.
 */
id: string,
/**
 * As it is now.
 */
value: FleetInfo | null, } | { "kind": "device",
/**
 * Key.
 */
id: string,
/**
 * As it is now.
 */
value: DeviceInfo | null, } | { "kind": "geofence",
/**
 * Key.
 */
id: string,
/**
 * As it is now.
 */
value: GeofenceFeature | null, };

/**
 * Socket.IO `replay`.
 */
export type ReplayRequest = {
/**
 * Chosen by the client, one per replay.
 */
id: number, } & ({ "action": "open",
/**
 * These devices; `null`: those of the fleet.
 */
devices: Array<string> | null,
/**
 * All devices of this fleet; `null` with `devices` `null`: all that the session may see.
 */
fleet: string | null,
/**
 * First moment.
 */
from: number,
/**
 * Last moment.
 */
to: number,
/**
 * Times real time.
 */
speed: number, } | { "action": "play" } | { "action": "pause" } | { "action": "seek",
/**
 * The moment.
 */
at: number, } | { "action": "speed",
/**
 * Times real time.
 */
speed: number, } | { "action": "close" });

/**
 * What to do with a replay.
 */
export type ReplayAction = { "action": "open",
/**
 * These devices; `null`: those of the fleet.
 */
devices: Array<string> | null,
/**
 * All devices of this fleet; `null` with `devices` `null`: all that the session may see.
 */
fleet: string | null,
/**
 * First moment.
 */
from: number,
/**
 * Last moment.
 */
to: number,
/**
 * Times real time.
 */
speed: number, } | { "action": "play" } | { "action": "pause" } | { "action": "seek",
/**
 * The moment.
 */
at: number, } | { "action": "speed",
/**
 * Times real time.
 */
speed: number, } | { "action": "close" };

/**
 * Answer to `replay` with `open`.
 */
export type ReplayAnswer = {
/**
 * Whether it is open.
 */
ok: boolean,
/**
 * Which vehicle is meant by a slot in frames of this replay: slot, device id, name, fleet id.
 */
slots: Array<[number, string, string, string]>,
/**
 * First moment.
 */
from: number,
/**
 * Last moment.
 */
to: number,
/**
 * Why it is not open.
 */
error?: string, };

/**
 * Socket.IO `replay_ack`: a frame has been shown.
 */
export type ReplayAck = {
/**
 * Which replay.
 */
id: number,
/**
 * `seq` of the frame.
 */
seq: number, };

/**
 * Socket.IO `replay_state`: after every action, every second while it plays, and at its end.
 */
export type ReplayState = {
/**
 * Which replay.
 */
id: number,
/**
 * The replay's clock.
 */
at: number,
/**
 * Whether the clock runs.
 */
playing: boolean,
/**
 * Times real time.
 */
speed: number,
/**
 * The clock is at the end.
 */
done: boolean,
/**
 * It has ended because of this.
 */
error?: string, };

/**
 * Socket.IO `replay_alert`: an event whose time the replay's clock has reached.
 */
export type ReplayAlert = {
/**
 * Which replay.
 */
id: number,
/**
 * The same for the same happening, however often it is told.
 */
event_id: string,
/**
 * Give it as `alerts_after` or `after` to get what comes next; `null` for events of the past.
 */
cursor: string | null,
/**
 * What happened: `enter`, `exit`, `trip_start`, `alarm`, …
 */
kind: string,
/**
 * To whom.
 */
device: string,
/**
 * Its name now.
 */
device_name: string,
/**
 * Key of its fleet at that time.
 */
fleet: string,
/**
 * Key of the geofence.
 */
geofence: string | null,
/**
 * Its name now.
 */
geofence_name: string | null,
/**
 * Of the fix that showed it.
 */
fix_time: number,
/**
 * When that fix reached us.
 */
received_at: number,
/**
 * Degrees.
 */
lat: number,
/**
 * Degrees.
 */
lon: number,
/**
 * A later report showed that this did not happen.
 */
retracted: boolean,
/**
 * Figures that belong to it.
 */
attributes: Record<string, boolean | number | string>, };
