/** A page on Pipecat's client. */
import { PipecatClient, RTVIEvent } from '@pipecat-ai/client-js';
import { note, SERVER } from './report';
import { LiveKitTransport } from './transport';

const client = new PipecatClient({ transport: new LiveKitTransport(), enableMic: true, enableCam: false });
const seen: unknown[] = [];
for (const event of Object.values(RTVIEvent)) {
  client.on(event, (data?: unknown) => {
    if (data instanceof MediaStreamTrack) return;
    seen.push({ event, data: JSON.parse(JSON.stringify(data ?? null)) as unknown });
    note('events', [...seen]);
  });
}

declare global {
  interface Window {
    client: PipecatClient;
  }
}
window.client = client;

const start = document.createElement('button');
start.textContent = 'start';
start.onclick = () => {
  client
    .startBotAndConnect({ endpoint: `${SERVER}/api/token` })
    .then((ready) => note('ready', ready))
    .catch((error: unknown) => note('error', String(error)));
};
document.body.append(start);
