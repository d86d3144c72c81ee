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
tiles: TileSource | null,
/**
 * Another way to sign in; `null`: there is none.
 */
oidc: OidcButton | null, };

/**
 * Where map tiles come from.
 */
export type TileSource = {
/**
 * With `{z}`, `{x}`, `{y}` and perhaps `{s}`; or of a PMTiles archive.
 */
url: string,
/**
 * Whether all tiles are in one archive, read piece by piece: pictures, or shapes that the page draws.
 */
archive: boolean,
/**
 * HTML to show on the map.
 */
attribution: string,
/**
 * Deepest zoom level there is. An archive says so itself.
 */
max_zoom: number, };

/**
 * The button that leads to the provider.
 */
export type OidcButton = {
/**
 * What it says.
 */
label: string,
/**
 * Where it leads: an address of ours, as the provider knows us.
 */
url: string, };

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
password: string,
/**
 * Of the second factor, where one is asked for (status 428 says so).
 */
code?: string, };

/**
 * Choosing a password.
 */
export type NewPassword = {
/**
 * At least 10 characters.
 */
password: string,
/**
 * The one that it replaces, where that is asked for (status 428 says so).
 */
present?: string, };

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
 * `owner`, `dispatcher`, `viewer` or `installer`.
 */
role: "owner" | "dispatcher" | "viewer" | "installer",
/**
 * False until the user has chosen one.
 */
has_password: boolean,
/**
 * How figures and times are shown; `null` until the user has chosen.
 */
preferences: PreferencesInfo | null,
/**
 * All that the session may see.
 */
fleets: Array<FleetInfo>, };

/**
 * Units of lengths and speeds.
 */
export type UnitsName = "metric" | "imperial" | "nautical";

/**
 * How a user reads figures and times, in whatever browser.
 */
export type PreferencesInfo = {
/**
 * Of lengths and speeds.
 */
units: UnitsName,
/**
 * Name of the tz database; `null`: that of the browser.
 */
time_zone: string | null, };

/**
 * What a token may be used for. The role of its user stays the limit.
 */
export type TokenScopeName = "read" | "edit" | "sql";

/**
 * A token, without its secret.
 */
export type TokenInfo = {
/**
 * Its id: the secret begins with `ws_`, this and `_`.
 */
id: string,
/**
 * For whom.
 */
user: string,
/**
 * For people.
 */
name: string,
/**
 * For what.
 */
scopes: Array<TokenScopeName>,
/**
 * When it was made.
 */
created_at: number,
/**
 * No longer valid from then on; `null`: until it is removed.
 */
expires_at: number | null, };

/**
 * A token to be made.
 */
export type NewTokenRequest = {
/**
 * For people.
 */
name: string,
/**
 * For what.
 */
scopes: Array<TokenScopeName>,
/**
 * No longer valid from then on; missing: until it is removed.
 */
expires_at?: number, };

/**
 * A token that was made.
 */
export type NewTokenAnswer = {
/**
 * What is kept.
 */
token: TokenInfo,
/**
 * What signs in. It is shown this once.
 */
secret: string, };

/**
 * What a user may do.
 */
export type RoleName = "owner" | "dispatcher" | "viewer" | "installer";

/**
 * Somebody of the organisation.
 */
export type UserInfo = {
/**
 * Sign-in name.
 */
id: string,
/**
 * What may be done.
 */
role: RoleName,
/**
 * Whether a password has been chosen: until then only links sign in.
 */
has_password: boolean, };

/**
 * Somebody who is invited.
 */
export type NewUserRequest = {
/**
 * Sign-in name, which nobody else has in any organisation.
 */
id: string,
/**
 * What may be done.
 */
role: RoleName, };

/**
 * What somebody may do from now on.
 */
export type UserEdit = {
/**
 * What may be done.
 */
role: RoleName, };

/**
 * A way in that works once: for whom it was made, and nobody else, should get it.
 */
export type UserLink = {
/**
 * Below the dashboard's address.
 */
path: string,
/**
 * No longer valid from then on.
 */
expires_at: number, };

/**
 * Whether a code is asked for when signing in.
 */
export type SecondFactorInfo = {
/**
 * Since when; `null`: it is not.
 */
since: number | null,
/**
 * Recovery codes that have not been used.
 */
recovery_codes: number, };

/**
 * A secret that an authenticator may take over. Nothing is asked for until a code made from it has come back.
 */
export type SecondFactorProposal = {
/**
 * To type in, base32.
 */
secret: string,
/**
 * The same and more, as authenticators read it.
 */
uri: string,
/**
 * A picture of it to be scanned: SVG.
 */
qr_svg: string, };

/**
 * Shows that an authenticator has taken the secret over.
 */
export type SecondFactorStart = {
/**
 * As it was proposed.
 */
secret: string,
/**
 * What the authenticator shows.
 */
code: string,
/**
 * The password, where that is asked for (status 428 says so).
 */
present?: string, };

/**
 * A code of the authenticator, or a recovery code.
 */
export type SecondFactorCode = {
/**
 * The code.
 */
code: string, };

/**
 * For when the authenticator is lost. Each is good once; they are shown this once.
 */
export type RecoveryCodes = {
/**
 * The codes.
 */
codes: Array<string>, };

/**
 * One change.
 */
export type ChangeInfo = {
/**
 * Key. No other change has it.
 */
id: string,
/**
 * When it was made.
 */
at: number,
/**
 * Who made it: a user, somebody unknown, the command line, the program by itself, or a device.
 */
by: "user" | "nobody" | "command_line" | "program" | "connectors",
/**
 * Sign-in name, if it was a user.
 */
user: string | null,
/**
 * What the user has shown.
 */
via: "session" | "token" | "password" | "link" | "oidc" | null,
/**
 * Which session or token.
 */
access: string | null,
/**
 * Where the connection came from; behind a proxy that is the proxy.
 */
address: string | null,
/**
 * What the program did it for.
 */
doing: string | null,
/**
 * Kind of what was changed: `device`, `geofence`, `user`, `session`.
 */
kind: string,
/**
 * Key of what was changed.
 */
thing: string,
/**
 * What happened.
 */
change: "put" | "removed" | "password_changed" | "signed_in" | "sign_in_failed" | "signed_out" | "tested" | "retried",
/**
 * What it was. Secrets are left out, long values told by their size and hash.
 */
before: Record<string, unknown> | null,
/**
 * What it is since then.
 */
after: Record<string, unknown> | null, };

/**
 * Changes.
 */
export type AuditAnswer = {
/**
 * Newest first.
 */
changes: Array<ChangeInfo>,
/**
 * Cursor of the next page, also where this one is empty; `null`: there are no older ones.
 */
before: string | null, };

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
 * What a device has to show.
 */
export type DeviceAccessInfo = {
/**
 * Its token, without the secret; `null`: it has none to show.
 */
token: DeviceTokenInfo | null,
/**
 * Addresses and ranges of them from which it may speak; none: from anywhere.
 */
addresses: Array<string>, };

/**
 * A token of a device, without its secret.
 */
export type DeviceTokenInfo = {
/**
 * Who made it.
 */
made_by: string,
/**
 * When.
 */
made_at: number, };

/**
 * A token of a device that was made.
 */
export type DeviceTokenAnswer = {
/**
 * The secret. It is shown this once.
 */
token: string, };

/**
 * From where a device may speak.
 */
export type DeviceAddressesEdit = {
/**
 * Addresses and ranges of them, such as `192.0.2.7` and `10.20.0.0/16`; none: from anywhere.
 */
addresses: Array<string>, };

/**
 * A device that was refused because nobody has entered it.
 */
export type UnknownDeviceInfo = {
/**
 * What the device calls itself.
 */
id: string,
/**
 * What it speaks.
 */
protocol: string,
/**
 * Where it spoke from; `null`: a broker has passed it on.
 */
address: string | null,
/**
 * Key of the fleet where it would be if it had been accepted.
 */
fleet: string,
/**
 * When it was first refused.
 */
first_seen: number,
/**
 * When it was refused last; told every ten minutes.
 */
last_seen: number,
/**
 * How often it was refused until then, at least.
 */
times: number, };

/**
 * What happens to a device that nobody has entered.
 */
export type UnknownDevicePolicyName = "accept" | "tray" | "refuse";

/**
 * What the organisation says of devices that would come into its fleets. What the installation refuses it can't let in.
 */
export type UnknownDeviceRuleInfo = {
/**
 * What happens to them; `null`: as the installation says.
 */
policy: UnknownDevicePolicyName | null, };

/**
 * A share link, without its secret.
 */
export type ShareLinkInfo = {
/**
 * Key.
 */
id: string,
/**
 * What who opens it sees in place of the vehicle's name.
 */
label: string | null,
/**
 * Who made it.
 */
made_by: string,
/**
 * When it was made: it shows no way from before.
 */
created_at: number,
/**
 * It opens nothing from then on.
 */
expires_at: number, };

/**
 * A share link to be made.
 */
export type NewShareLinkRequest = {
/**
 * Shown in place of the vehicle's name.
 */
label?: string,
/**
 * When it ends: at most 30 days from now.
 */
expires_at: number, };

/**
 * A share link that was made.
 */
export type NewShareLinkAnswer = {
/**
 * What is kept.
 */
link: ShareLinkInfo,
/**
 * Below the dashboard's address, with the secret behind `#`. It is shown this once.
 */
path: string, };

/**
 * What somebody sees who has opened a share link.
 */
export type SharedView = {
/**
 * What the vehicle is called; `null`: nothing.
 */
name: string | null,
/**
 * When the link was made.
 */
starts_at: number,
/**
 * When it ends.
 */
ends_at: number,
/**
 * What the server's clock shows.
 */
now: number,
/**
 * The newest one, whenever it was taken; `null`: the vehicle has not reported yet.
 */
position: SharedPosition | null, };

/**
 * A position as far as it is shared.
 */
export type SharedPosition = {
/**
 * When the fix was taken.
 */
fix_time: number,
/**
 * Degrees north.
 */
lat: number,
/**
 * Degrees east.
 */
lon: number,
/**
 * Over ground.
 */
speed_mps: number | null,
/**
 * Clockwise from true north.
 */
course_deg: number | null, };

/**
 * The way of a shared vehicle.
 */
export type SharedTrail = {
/**
 * Since the link was made, of the last week, in order of fix time; where there are many, some are left out.
 */
positions: Array<SharedPosition>, };

/**
 * A device that is offered to whoever has the code.
 */
export type TransferInfo = {
/**
 * What the device calls itself.
 */
device: string,
/**
 * For people.
 */
name: string,
/**
 * Who offers it.
 */
by: string,
/**
 * Since when.
 */
offered_at: number,
/**
 * No longer valid from then on.
 */
expires_at: number, };

/**
 * An offer that was made.
 */
export type NewTransferAnswer = {
/**
 * What is kept.
 */
transfer: TransferInfo,
/**
 * By which the other organisation takes the device. It is shown this once.
 */
code: string, };

/**
 * Takes a device that another organisation has offered.
 */
export type TransferRedemption = {
/**
 * As the other organisation was shown it; how it is spaced doesn't matter.
 */
code: string,
/**
 * What the device is called from now on, for people.
 */
name: string,
/**
 * Key of the fleet that it comes into.
 */
fleet: string, };

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
 * A summary that is sent by itself.
 */
export type ReportInfo = {
/**
 * Key.
 */
id: string,
/**
 * For people.
 */
name: string,
/**
 * Off: is not sent.
 */
enabled: boolean,
/**
 * Keys of fleets; none: all.
 */
fleets: Array<string>,
/**
 * What has a line of its own.
 */
per: "vehicle" | "fleet",
/**
 * What it is about: the day before, or the week before, Monday to Sunday, which is told on Monday.
 */
every: "day" | "week",
/**
 * When it is sent, in its time zone: `07:00`.
 */
time: string,
/**
 * Name in the IANA database: `Europe/Warsaw`. Days begin at its midnight.
 */
time_zone: string,
/**
 * What is attached.
 */
format: "csv" | "xlsx",
/**
 * Key of a channel of type `email`.
 */
channel: string, };

/**
 * A new or changed report.
 */
export type ReportEdit = {
/**
 * For people.
 */
name: string,
/**
 * Off: is not sent.
 */
enabled: boolean,
/**
 * Keys of fleets; none: all.
 */
fleets: Array<string>,
/**
 * What has a line of its own.
 */
per: "vehicle" | "fleet",
/**
 * What it is about: the day before, or the week before, Monday to Sunday, which is told on Monday.
 */
every: "day" | "week",
/**
 * When it is sent, in its time zone: `07:00`.
 */
time: string,
/**
 * Name in the IANA database: `Europe/Warsaw`. Days begin at its midnight.
 */
time_zone: string,
/**
 * What is attached.
 */
format: "csv" | "xlsx",
/**
 * Key of a channel of type `email`.
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
 * Key of the rule; `null`: a test or a report.
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
 * Tracks to be written to a file, of more devices than an address can name.
 */
export type ExportRequest = {
/**
 * `csv`, `gpx`, `geojson`, `kml`, `parquet` or `xlsx`.
 */
format: string,
/**
 * Their ids.
 */
devices: Array<string>,
/**
 * First fix time.
 */
from: number,
/**
 * Last fix time.
 */
to: number, };

/**
 * To acknowledge an alert.
 */
export type NewAcknowledgement = {
/**
 * What else there is to say, at most 500 characters.
 */
note?: string, };

/**
 * To acknowledge several alerts.
 */
export type NewAcknowledgements = {
/**
 * 1 to 1,000 ids of events.
 */
event_ids: Array<string>,
/**
 * What else there is to say, at most 500 characters.
 */
note?: string, };

/**
 * Somebody of the organisation has seen to an alert.
 */
export type AcknowledgementInfo = {
/**
 * Which.
 */
event_id: string,
/**
 * The user who did.
 */
by: string,
/**
 * When, milliseconds since the Unix epoch.
 */
at: number,
/**
 * What else there was to say.
 */
note: string | null, };

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
 * Who had seen to it when this was told; `null`: nobody. Later ones come as [`CatalogMessage::Acknowledgements`].
 */
acknowledged: AcknowledgementInfo | null,
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
 * Under which it is listed and shown together with others; missing or empty: under none.
 */
group?: string,
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
alerts_after: string | null,
/**
 * What the map shows; `null`: all vehicles are told of, however many.
 */
viewport?: Viewport,
/**
 * See [`FollowRequest`].
 */
follow?: Array<string>,
/**
 * See [`OnlyRequest`]; `null`: all that are watched.
 */
only?: string,
/**
 * See [`InsideRequest`].
 */
inside?: boolean, };

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
 * See [`DetailMessage`].
 */
whole: boolean,
/**
 * Where alerts go on from.
 */
cursor: string,
/**
 * Set if nothing is watched: why.
 */
error?: string, };

/**
 * Socket.IO `viewport`: the part of the map to be told of, in the usual square tiles of Web Mercator: at zoom z the world is 2^z wide
 * and high. It only counts while the watched fleets have more vehicles than the gateway tells a browser one by one; so any
 * program may do without. Then it gets all vehicles.
 */
export type Viewport = {
/**
 * 0 to 22.
 */
zoom: number,
/**
 * Westernmost column, below 2^zoom.
 */
x: number,
/**
 * Northernmost row, below 2^zoom.
 */
y: number,
/**
 * Columns; those beyond the antimeridian begin again at 0.
 */
w: number,
/**
 * Rows. At most 320 tiles in all.
 */
h: number, };

/**
 * Socket.IO `detail`: the watched fleets have grown or shrunk so far that something else is told of them.
 */
export type DetailMessage = {
/**
 * All vehicles are told of; else those in the viewport, or counted cells of it, and those that are followed.
 */
whole: boolean, };

/**
 * Socket.IO `only`: where not all vehicles are told of (see [`DetailMessage`]), those of one of the watched fleets are, and cells count
 * them only. Alerts and followed vehicles come as before.
 */
export type OnlyRequest = {
/**
 * Key of the fleet; `null`: all that are watched.
 */
fleet: string | null, };

/**
 * Socket.IO `inside`, to the server: whether to be told of how many vehicles are inside of each geofence.
 */
export type InsideRequest = {
/**
 * Begins with all counts, or ends it.
 */
on: boolean, };

/**
 * Socket.IO `inside`, to who asked for it: once a second at most, if there is something new.
 */
export type InsideMessage = {
/**
 * Forget all that were told before: what is not named is empty.
 */
whole: boolean,
/**
 * Key of a geofence, and how many vehicles of the watched fleets are inside.
 */
counts: Array<[string, number]>, };

/**
 * Socket.IO `follow`: the vehicles to be told of wherever they are, instead of those before. At most 16 count.
 */
export type FollowRequest = {
/**
 * Ids of devices; who may not be seen is left out.
 */
devices: Array<string>, };

/**
 * Which vehicles to list.
 */
export type VehicleListRequest = {
/**
 * Part of the name or of the device's id, in whatever case.
 */
text: string,
/**
 * Only those of this fleet.
 */
fleet: string | null,
/**
 * Only these: 0 moving, 1 standing with the ignition on, 2 standing, 3 late, 4 offline, 5 alarm. All if empty.
 */
looks: Array<number>,
/**
 * In which order.
 */
sort: VehicleSort,
/**
 * Only these devices.
 */
devices: Array<string> | null,
/**
 * So many are left out.
 */
from: number,
/**
 * So many are told, at most 1,000.
 */
limit: number, };

/**
 * An order of vehicles.
 */
export type VehicleSort = "name" | "status" | "speed" | "age";

/**
 * Some vehicles of a list.
 */
export type VehicleListAnswer = {
/**
 * Vehicles that may be seen, whatever was asked for.
 */
count: number,
/**
 * Those that were asked for.
 */
matching: number,
/**
 * By look, those that were asked for but for their looks.
 */
looks: [number, number, number, number, number, number],
/**
 * So many were left out.
 */
from: number,
/**
 * The next ones.
 */
vehicles: Array<ListedVehicle>, };

/**
 * A vehicle in a list.
 */
export type ListedVehicle = {
/**
 * What the device calls itself.
 */
device: string,
/**
 * For people.
 */
name: string,
/**
 * Key of its fleet.
 */
fleet: string,
/**
 * See [`VehicleListRequest`].
 */
look: number,
/**
 * `null` if it is not known.
 */
speed_kmh: number | null,
/**
 * Degrees clockwise from true north.
 */
course_deg: number,
/**
 * Of the newest fix.
 */
fix_time: number,
/**
 * Degrees.
 */
lat: number,
/**
 * Degrees.
 */
lon: number, };

/**
 * Socket.IO `catalog`: something was edited; `value` is `null` if it is gone. Who watches and says an alert that was seen last is
 * also told which alerts are acknowledged.
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
value: GeofenceFeature | null, } | { "kind": "acknowledgements",
/**
 * Forget all that were told before; if they are many, further messages with the others follow.
 */
whole: boolean,
/**
 * New ones, and changed ones.
 */
given: Array<AcknowledgementInfo>,
/**
 * Ids of events that are no longer acknowledged.
 */
taken_back: Array<string>, };

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
at: number, } | { "action": "step",
/**
 * The moment; `null`: that of the next fix.
 */
to: number | null,
/**
 * Whose fix; `null`: anybody's.
 */
device: string | null, } | { "action": "speed",
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
at: number, } | { "action": "step",
/**
 * The moment; `null`: that of the next fix.
 */
to: number | null,
/**
 * Whose fix; `null`: anybody's.
 */
device: string | null, } | { "action": "speed",
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
 * Who had seen to it when this was told; `null`: nobody. Later ones come as [`CatalogMessage::Acknowledgements`].
 */
acknowledged: AcknowledgementInfo | null,
/**
 * Figures that belong to it.
 */
attributes: Record<string, boolean | number | string>, };
