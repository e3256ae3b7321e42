import { describe, expect, it } from 'vitest';
import { captureOptions, deviceName, readChosen, shownDevice, writeChosen } from './devices';

function storeOf(text: string | null) {
  return { getItem: () => text };
}

describe('devices somebody chose', () => {
  it('are what they were', () => {
    let kept = '';
    writeChosen({ audioinput: 'usb' }, { setItem: (_, text) => { kept = text; } });
    expect(readChosen(storeOf(kept))).toEqual({ audioinput: 'usb' });
  });

  it.each([null, 'not json', '[]', 'null', '7', '{"audioinput": 7}', '{"audioinput": "default"}', '{"audioinput": ""}'])(
    'are the system’s when the store holds %s',
    (text) => {
      expect(readChosen(storeOf(text))).toEqual({});
    },
  );

  it('are the system’s where the page has no store', () => {
    expect(readChosen(undefined)).toEqual({});
    writeChosen({ audioinput: 'usb' }, { setItem: () => { throw new DOMException('full', 'QuotaExceededError'); } });
  });

  it('are asked for, not insisted on', () => {
    expect(captureOptions({ audioinput: 'usb' }).deviceId).toEqual({ ideal: 'usb' });
    expect(captureOptions({}).deviceId).toBeUndefined();
  });

  it('are shown while they are plugged in', () => {
    const devices = [{ deviceId: 'default' }, { deviceId: 'usb' }];
    expect(shownDevice('usb', devices)).toBe('usb');
    expect(shownDevice('gone', devices)).toBe('default');
    expect(shownDevice(undefined, devices)).toBe('default');
  });

  it('have a name before the browser tells theirs', () => {
    expect(deviceName({ label: '' }, 1, 'audiooutput')).toBe('Speaker 2');
    expect(deviceName({ label: 'Headset' }, 0, 'audioinput')).toBe('Headset');
  });
});
