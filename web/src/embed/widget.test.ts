import { describe, expect, it } from 'vitest';
import { isFrameMessage } from './frame';
import { optionsOf } from './options';

const src = 'https://voice.example/embed.js?v=1';

describe('the script’s tag', () => {
  it('says where the server is, and how the button looks', () => {
    expect(optionsOf({ src, dataset: { label: ' Ask us ', side: 'left', color: '#333' } })).toEqual({
      origin: 'https://voice.example',
      label: 'Ask us',
      side: 'left',
      color: '#333',
    });
  });

  it('needs to say nothing, and is not believed everything', () => {
    const plain = { origin: 'https://voice.example', label: 'Talk to us', side: 'right', color: undefined };
    expect(optionsOf({ src, dataset: {} })).toEqual(plain);
    expect(optionsOf({ src, dataset: { label: ' ', side: 'middle' } })).toEqual(plain);
    expect(optionsOf({ src, dataset: { label: 'x'.repeat(500) } }).label).toHaveLength(80);
  });
});

describe('messages of the frame', () => {
  it.each([{ repartee: 'ready' }, { repartee: 'state', state: 'live' }, { repartee: 'minimise' }])('%j is one', (data) => {
    expect(isFrameMessage(data)).toBe(true);
  });

  it.each([null, 'ready', 7, {}, { repartee: 'other' }, { repartee: 'state', state: 'other' }, { state: 'live' }])(
    '%j is none',
    (data) => {
      expect(isFrameMessage(data)).toBe(false);
    },
  );
});
