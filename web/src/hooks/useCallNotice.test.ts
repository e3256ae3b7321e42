import { ConnectionQuality, ConnectionState } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { isBroken, noticeOf } from './useCallNotice';

const { Connected, Reconnecting, Disconnected } = ConnectionState;
const { Excellent, Good, Poor, Lost, Unknown } = ConnectionQuality;

describe('what is said of the line', () => {
  it.each([
    [Connected, Excellent, undefined, undefined],
    [Connected, Good, 'sounds', undefined],
    [Connected, Unknown, undefined, undefined],
    [Connected, Poor, 'sounds', 'weak'],
    [Connected, Lost, undefined, 'weak'],
    [Connected, Poor, 'silent', 'unheard'],
    [Connected, Excellent, 'unreadable', 'unheard'],
    [Reconnecting, Poor, 'silent', 'reconnecting'],
    [Disconnected, Excellent, 'sounds', 'returning'],
  ])('%s, %s, microphone %s: %s', (connection, quality, microphone, notice) => {
    expect(noticeOf(connection, quality, microphone, { online: true, stalled: false })).toBe(notice);
  });

  it('names the cause when there is no network at all', () => {
    expect(noticeOf(Reconnecting, Lost, 'sounds', { online: false, stalled: false })).toBe('offline');
    // The call goes on: the browser errs.
    expect(noticeOf(Connected, Excellent, 'sounds', { online: false, stalled: false })).toBeUndefined();
  });

  it('does not wait for the media client to notice', () => {
    expect(noticeOf(Connected, Excellent, 'sounds', { online: true, stalled: true })).toBe('reconnecting');
    expect(noticeOf(Connected, Excellent, 'sounds', { online: false, stalled: true })).toBe('offline');
  });

  it('tells a broken line from a bad one', () => {
    expect([undefined, 'weak', 'unheard', 'back'].some((notice) => isBroken(notice as never))).toBe(false);
    expect((['offline', 'returning', 'reconnecting'] as const).every(isBroken)).toBe(true);
  });
});
