import { expect, test } from 'vitest';
import { adoptsDevices, entersDevices, looksAround, mayEdit, offered, panelsOf } from './roles';
import type { RoleName, SessionInfo } from './wire/types';

const as = (role: RoleName): { session: SessionInfo } => ({
  session: { user: 'anna', organisation: 'ours', role, has_password: true, preferences: null, fleets: [] },
});

test('an installer is offered devices and nothing else', () => {
  expect(panelsOf(as('installer'))).toEqual(['vehicles']);
  expect((['sql', 'trips', 'vehicles', null] as const).map((panel) => offered(as('installer'), panel))).toEqual(['vehicles', 'vehicles', 'vehicles', null]);
  expect([looksAround, mayEdit, entersDevices, adoptsDevices].map((may) => may(as('installer')))).toEqual([false, false, true, true]);
});

test('others are offered what they were', () => {
  expect(offered(as('viewer'), 'sql')).toBe('sql');
  expect((['owner', 'dispatcher', 'viewer'] as const).map((role) => mayEdit(as(role)))).toEqual([true, true, false]);
});
