import { expect, it } from 'vitest';
import { clock } from './time';

it.each([
  [0, '0:00'],
  [7_900, '0:07'],
  [750_000, '12:30'],
  [3_723_000, '1:02:03'],
  [-5, '0:00'],
])('%i ms reads %s', (ms, words) => {
  expect(clock(ms)).toBe(words);
});
