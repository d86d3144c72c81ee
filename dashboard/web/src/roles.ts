/** What the page offers to whom. It is the server that decides: this leaves out what it would refuse. */

import type { PanelName } from './state';
import type { RoleName } from './wire/types';

const DEVICES_ONLY: readonly PanelName[] = ['vehicles'];
const ALL: readonly PanelName[] = ['vehicles', 'fences', 'alerts', 'replay', 'sql'];

/** Sees more than devices and where they were last: history, geofences, alerts. */
export const looksAround = (role: RoleName): boolean => role !== 'installer';
/** Changes geofences, shares vehicles and hands them over, acknowledges alerts. */
export const mayEdit = (role: RoleName): boolean => role === 'owner' || role === 'dispatcher';
export const entersDevices = (role: RoleName): boolean => role !== 'viewer';
export const adoptsDevices = (role: RoleName): boolean => role === 'owner' || role === 'installer';
export const panelsOf = (role: RoleName): readonly PanelName[] => (looksAround(role) ? ALL : DEVICES_ONLY);
