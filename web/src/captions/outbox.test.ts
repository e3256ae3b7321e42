import { beforeEach, describe, expect, it, vi } from 'vitest';
import { AGAIN_MS, Outbox, OUTBOX_MAX, TRIES_MAX, type Letter } from './outbox';

function rig() {
  const sent: string[] = [];
  const taken: string[] = [];
  let refuse = false;
  const outbox = new Outbox(
    ({ id }: Letter) => {
      sent.push(id);
      return refuse ? Promise.reject(new Error('closed')) : Promise.resolve();
    },
    (id) => taken.push(id),
  );
  return { outbox, sent, taken, refuses: (now: boolean) => { refuse = now; } };
}

describe('the outbox', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    return () => { vi.useRealTimers(); };
  });

  it('sends at once where there is a line, and once', () => {
    const { outbox, sent, taken } = rig();
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'hello' });
    outbox.stands('first', []);
    expect(sent).toEqual(['a']);
    expect(taken).toEqual([]);
    outbox.stands('first', ['a', 'of somebody else']);
    expect(taken).toEqual(['a']);
  });

  it('waits while there is none', () => {
    const { outbox, sent } = rig();
    outbox.add({ id: 'a', text: 'hello' });
    outbox.add({ id: 'b', text: 'are you there' });
    expect(sent).toEqual([]);
    outbox.stands('first', []);
    expect(sent).toEqual(['a', 'b']);
  });

  it('sends again on a new line what nobody has taken, and nothing else', () => {
    const { outbox, sent, taken } = rig();
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'arrived' });
    outbox.add({ id: 'b', text: 'lost' });
    outbox.stands(null, []);
    outbox.stands('second', ['a']);
    expect(sent).toEqual(['a', 'b', 'b']);
    expect(taken).toEqual(['a']);
  });

  it('leaves to the media client what a mended line repeats', () => {
    const { outbox, sent } = rig();
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'hello' });
    outbox.stands(null, []);
    outbox.stands('first', []);
    expect(sent).toEqual(['a']);
  });

  it('sends again after a while what is not taken, but not for ever', () => {
    const { outbox, sent } = rig();
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'lost' });
    vi.advanceTimersByTime(AGAIN_MS);
    expect(sent).toEqual(['a', 'a']);
    vi.advanceTimersByTime(20 * AGAIN_MS);
    expect(sent).toHaveLength(TRIES_MAX);
    outbox.stands('second', []);
    expect(sent).toHaveLength(TRIES_MAX + 1);
  });

  it('sends nothing again that was taken, nor into a line that is broken, nor after the call', () => {
    const { outbox, sent } = rig();
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'arrived' });
    outbox.add({ id: 'b', text: 'lost' });
    outbox.stands(null, ['a']);
    vi.advanceTimersByTime(5 * AGAIN_MS);
    expect(sent).toEqual(['a', 'b']);
    outbox.stands('first', ['a']);
    outbox.close();
    vi.advanceTimersByTime(5 * AGAIN_MS);
    expect(sent).toEqual(['a', 'b']);
  });

  it('keeps what could not be sent', () => {
    const { outbox, sent, refuses } = rig();
    refuses(true);
    outbox.stands('first', []);
    outbox.add({ id: 'a', text: 'hello' });
    vi.advanceTimersByTime(AGAIN_MS);
    expect(sent).toEqual(['a', 'a']);
  });

  it('takes no more than the agent would', () => {
    const { outbox } = rig();
    const added = Array.from({ length: OUTBOX_MAX + 1 }, (_, index) => outbox.add({ id: String(index), text: 'x' }));
    expect(added.filter(Boolean)).toHaveLength(OUTBOX_MAX);
  });
});
