/**
 * RTVI over LiveKit's data channel, for Pipecat's client: what its own transport for LiveKit does on the wire, without
 * devices. Messages are JSON, reliable, of no topic; `client-ready` is sent when the agent's voice is there.
 */
import { RTVIMessage, Transport, type PipecatClientOptions, type Tracks, type TransportState } from '@pipecat-ai/client-js';
import { Room, RoomEvent, Track } from 'livekit-client';

interface Place {
  url: string;
  token: string;
}

export class LiveKitTransport extends Transport {
  readonly room = new Room();
  private voice = Promise.withResolvers<void>();

  initialize(options: PipecatClientOptions, onMessage: (message: RTVIMessage) => void): void {
    this._options = options;
    this._callbacks = options.callbacks ?? {};
    this._onMessage = onMessage;
    this.room
      .on(RoomEvent.DataReceived, (payload) => {
        const message = JSON.parse(new TextDecoder().decode(payload)) as RTVIMessage;
        if (message.label === 'rtvi-ai') this._onMessage(message);
      })
      .on(RoomEvent.TrackSubscribed, (track, { source }, { identity }) => {
        if (source !== Track.Source.Microphone) return;
        track.attach();
        this._callbacks.onBotConnected?.({ id: identity, name: identity, local: false });
        this.voice.resolve();
      })
      .on(RoomEvent.ParticipantDisconnected, ({ identity, isAgent }) => {
        if (isAgent) this._callbacks.onBotDisconnected?.({ id: identity, name: identity, local: false });
      })
      .on(RoomEvent.Disconnected, () => {
        this.state = 'disconnected';
        this._callbacks.onDisconnected?.();
      });
    this.state = 'initialized';
  }

  _validateConnectionParams(given: unknown): Place {
    const { url, token } = (given ?? {}) as Partial<Place>;
    if (!url || !token) throw new Error("a place in a room has 'url' and 'token'");
    return { url, token };
  }

  async _connect(given?: unknown): Promise<void> {
    const { url, token } = given as Place;
    this.state = 'connecting';
    await this.room.connect(url, token);
    await this.room.localParticipant.setMicrophoneEnabled(true);
    this.state = 'connected';
    this._callbacks.onConnected?.();
  }

  async sendReadyMessage(): Promise<void> {
    await this.voice.promise;
    this.state = 'ready';
    this.sendMessage(RTVIMessage.clientReady());
  }

  sendMessage(message: RTVIMessage): void {
    const payload = new TextEncoder().encode(JSON.stringify(message));
    void this.room.localParticipant.publishData(payload, { reliable: true });
  }

  async _disconnect(): Promise<void> {
    await this.room.disconnect();
  }

  get state(): TransportState {
    return this._state;
  }

  set state(state: TransportState) {
    if (state === this._state) return;
    this._state = state;
    this._callbacks.onTransportStateChanged?.(state);
  }

  get isMicEnabled(): boolean {
    return this.room.localParticipant.isMicrophoneEnabled;
  }

  enableMic(enable: boolean): void {
    void this.room.localParticipant.setMicrophoneEnabled(enable);
  }

  tracks(): Tracks {
    const mine = this.room.localParticipant.getTrackPublication(Track.Source.Microphone);
    return { local: { audio: mine?.track?.mediaStreamTrack } };
  }

  // Devices are the browser's own, and there is no picture.
  async initDevices(): Promise<void> {}
  readonly getAllMics = () => Room.getLocalDevices('audioinput');
  readonly getAllCams = () => Room.getLocalDevices('videoinput');
  readonly getAllSpeakers = () => Room.getLocalDevices('audiooutput');
  updateMic(): void {}
  updateCam(): void {}
  updateSpeaker(): void {}
  readonly selectedMic = {};
  readonly selectedCam = {};
  readonly selectedSpeaker = {};
  readonly isCamEnabled = false;
  readonly isSharingScreen = false;
  enableCam(): void {}
  enableScreenShare(): void {}
}
