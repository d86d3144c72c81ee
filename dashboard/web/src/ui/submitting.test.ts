import { expect, it } from 'vitest';
import { submitting } from './submitting';

it('does once what is asked for twice, and again when that is done or has failed', async () => {
  let asked = 0, kept = 0;
  const faults: unknown[] = [];
  let answer: (fault?: Error) => void = () => undefined;
  const submit = submitting(() => {
    asked++;
    if (asked === 3) throw new Error('nothing was sent');
    return new Promise<void>((resolve, reject) => {
      answer = (fault) => (fault ? reject(fault) : resolve());
    });
  }, (fault) => faults.push(fault));
  const send = (): void => submit({ preventDefault: () => void kept++ });
  const settled = (): Promise<void> => new Promise((done) => setImmediate(done));
  send();
  send();
  await settled();
  expect([asked, kept]).toEqual([1, 2]);
  answer();
  await settled();
  send();
  answer(new Error('refused'));
  await settled();
  send();
  await settled();
  send();
  expect(asked).toBe(4);
  expect(faults).toEqual([new Error('refused'), new Error('nothing was sent')]);
});
