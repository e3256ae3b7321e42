import { describe, expect, it } from 'vitest';
import { mediaProblem } from './problems';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0';
const CHROME = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36';

describe('a media server that cannot be reached', () => {
  it.each(['localhost', '127.0.0.1', '[::1]'])('is Firefox’s own doing on %s', (hostname) => {
    expect(mediaProblem(hostname, FIREFOX).detail).toContain('about:config');
  });

  it.each([
    ['voice.example', FIREFOX],
    ['localhost', CHROME],
    ['127.example', FIREFOX],
  ])('is the network’s on %s', (hostname, agent) => {
    expect(mediaProblem(hostname, agent).detail).toContain('firewall');
  });
});
