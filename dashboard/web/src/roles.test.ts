import { expect, test } from 'vitest';
import { adoptsDevices, entersDevices, looksAround, mayEdit, panelsOf } from './roles';

test('an installer is offered devices and nothing else', () => {
  expect(panelsOf('installer')).toEqual(['vehicles']);
  expect([looksAround, mayEdit, entersDevices, adoptsDevices].map((may) => may('installer'))).toEqual([false, false, true, true]);
});

test('others are offered what they were', () => {
  expect(panelsOf('viewer')).toContain('sql');
  expect(['owner', 'dispatcher', 'viewer'].map((role) => mayEdit(role as 'owner'))).toEqual([true, true, false]);
});
