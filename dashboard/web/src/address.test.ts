import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, type Address } from './address';

const all: Address = {
  view: { zoom: 12, lat: 48.1, lon: -11.5 }, panel: 'sql', device: 'a/b &c', query: 'SELECT 1 -- ?#',
  filter: { text: 'bus 7', fleet: 'north', looks: [0, 5], sort: 'speed', fence: 'f1', attribute: 'power_v<12' },
  replay: { device: 'a/b &c', from: 1000, to: 2000 },
};

describe('the address of a view', () => {
  it('tells the same to who opens it', () => {
    expect(parseAddress(formatAddress(all))).toEqual(all);
    const bare: Address = { view: null, panel: null, device: null, query: null, filter: {}, replay: null };
    expect(parseAddress(formatAddress(bare))).toEqual(bare);
  });
  it('still reads addresses that are only a place', () => {
    expect(parseAddress('#7/51.2/10.2')).toMatchObject({ view: { zoom: 7, lat: 51.2, lon: 10.2 }, panel: undefined, device: null });
  });
  it.each(['', '#', '#x/y/z', '#99/0/0', '#7/91/0', '#7/51', '#?panel=nonsense&status=odd&sort=up&replay=a&from=5&to=1', '#7/51/10/3?'])('takes nothing from %s that is nothing', (hash) => {
    expect(parseAddress(hash)).toEqual({ view: null, panel: undefined, device: null, query: null, filter: {}, replay: null });
  });
});
