import { ConnectionQuality, ConnectionState } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { noticeOf } from './useCallNotice';

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
    [Disconnected, Excellent, 'sounds', 'reconnecting'],
  ])('%s, %s, microphone %s: %s', (connection, quality, microphone, notice) => {
    expect(noticeOf(connection, quality, microphone)).toBe(notice);
  });
});
