import { describe, expect, it } from 'vitest';
import { NO_CAPTIONS, nextCaptions, type CaptionEvent, type Captions } from './captions';

function after(...events: CaptionEvent[]): Captions {
  return events.reduce(nextCaptions, NO_CAPTIONS);
}

const text = (side: 'agent' | 'caller', stream: number, words: string, final = false, segment = 's1'): CaptionEvent => ({
  type: 'text',
  side,
  segment,
  stream,
  text: words,
  final,
});
const closed = (side: 'agent' | 'caller', stream: number, final: boolean, unheard = '', segment = 's1'): CaptionEvent => ({
  type: 'closed',
  side,
  segment,
  stream,
  final,
  unheard,
});

describe('captions', () => {
  it('add the agent’s words up within one stream', () => {
    const { list } = after(text('agent', 1, 'Good '), text('agent', 1, 'day.'), closed('agent', 1, true));
    expect(list).toMatchObject([{ side: 'agent', text: 'Good day.', final: true }]);
  });

  it('replace the caller’s text with every update', () => {
    const { list } = after(
      text('caller', 1, 'I would'),
      closed('caller', 1, false),
      text('caller', 2, 'I would like', true),
      closed('caller', 2, true),
    );
    expect(list).toMatchObject([{ side: 'caller', text: 'I would like', final: true }]);
  });

  it('keep the final text when an older stream comes in late', () => {
    const { list } = after(text('caller', 2, 'yes please', true), text('caller', 1, 'yes'));
    expect(list).toMatchObject([{ text: 'yes please', final: true }]);
  });

  it('take a reply told anew to a caller who was cut off', () => {
    const { list } = after(
      text('agent', 1, 'We are open'),
      closed('agent', 1, false),
      text('agent', 2, 'We are open from eight'),
      text('agent', 2, ' to six.'),
      text('agent', 1, ' late'),
      closed('agent', 2, true),
    );
    expect(list).toMatchObject([{ text: 'We are open from eight to six.', final: true }]);
  });

  it('settle a side when it starts something new', () => {
    const { list } = after(text('agent', 1, 'Hello'), text('agent', 2, 'So', false, 's2'));
    expect(list.map((caption) => caption.final)).toEqual([true, false]);
  });

  it('take noise away', () => {
    expect(after(text('caller', 1, 'uh'), closed('caller', 2, true)).list).toEqual([]);
  });

  it('show what the caller did not hear any more', () => {
    const { list } = after(text('agent', 1, 'We are open'), closed('agent', 1, true, 'from eight to six.'));
    expect(list).toMatchObject([{ text: 'We are open', unheard: 'from eight to six.' }]);
  });

  it('stay bounded', () => {
    const many = Array.from({ length: 700 }, (_, index) => text('agent', index, 'word', true, `s${index}`));
    expect(after(...many).list).toHaveLength(500);
  });
});
