/** What the page offers to whom. It is the server that decides: this leaves out what it would refuse. What one may do can change while the page is open. */

import { PANEL_NAMES, type PanelName, type State } from './state';

type Who = Pick<State, 'session'>;

const DEVICES_ONLY: readonly PanelName[] = ['vehicles'];

/** Sees more than devices and where they were last: history, geofences, alerts. If that changes, the page begins anew. */
export const looksAround = ({ session }: Who): boolean => session.role !== 'installer';
/** Changes geofences, shares vehicles and hands them over, sends commands, acknowledges alerts. */
export const mayEdit = ({ session }: Who): boolean => session.role === 'owner' || session.role === 'dispatcher';
export const entersDevices = ({ session }: Who): boolean => session.role !== 'viewer';
export const adoptsDevices = ({ session }: Who): boolean => session.role === 'owner' || session.role === 'installer';
export const panelsOf = (who: Who): readonly PanelName[] => (looksAround(who) ? PANEL_NAMES : DEVICES_ONLY);
/** That panel, or the vehicles instead. */
export const offered = (who: Who, panel: PanelName | null): PanelName | null => (panel === null || panelsOf(who).includes(panel) ? panel : 'vehicles');
