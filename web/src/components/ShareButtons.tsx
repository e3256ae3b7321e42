import { useLocalParticipant } from '@livekit/components-react';
import { Track, VideoPresets } from 'livekit-client';
import { useState } from 'react';
import { CameraIcon, ScreenIcon } from './icons';

/** The agent takes single pictures: a few frames a second are enough, and cost the phone and the server little. */
const FRAMES = 5;
const ENCODING = { maxBitrate: 800_000, maxFramerate: FRAMES };
const PUBLISH = { simulcast: false, videoEncoding: ENCODING, screenShareEncoding: ENCODING };
/** LiveKit's numbers of the sources in a token's grant. */
const CAMERA_GRANT = '1';

/** Buttons to share camera and screen; there only where the token allows it, which is where the agent can look. */
export function ShareButtons() {
  const { localParticipant, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();
  const [failed, setFailed] = useState<Track.Source | null>(null);
  if (!localParticipant.permissions?.canPublishSources.map(String).includes(CAMERA_GRANT)) return null;

  const share = async (source: Track.Source, change: () => Promise<unknown>) => {
    try {
      await change();
      setFailed(null);
    } catch {
      setFailed(source); // refused, or there is none
    }
  };
  const camera = () =>
    localParticipant.setCameraEnabled(
      !isCameraEnabled,
      { resolution: { ...VideoPresets.h720.resolution, frameRate: FRAMES } },
      PUBLISH,
    );
  const screen = () =>
    localParticipant.setScreenShareEnabled(
      !isScreenShareEnabled,
      { audio: false, resolution: { ...VideoPresets.h1080.resolution, frameRate: FRAMES } },
      PUBLISH,
    );
  return (
    <>
      <button
        className="round"
        type="button"
        data-testid="share-camera"
        aria-pressed={isCameraEnabled}
        aria-label={isCameraEnabled ? 'Stop the camera' : 'Show something by camera'}
        title={failed === Track.Source.Camera ? 'The camera could not be used' : undefined}
        onClick={() => void share(Track.Source.Camera, camera)}
      >
        <CameraIcon />
      </button>
      {'getDisplayMedia' in navigator.mediaDevices && (
        <button
          className="round"
          type="button"
          data-testid="share-screen"
          aria-pressed={isScreenShareEnabled}
          aria-label={isScreenShareEnabled ? 'Stop sharing the screen' : 'Share the screen'}
          title={failed === Track.Source.ScreenShare ? 'The screen could not be shared' : undefined}
          onClick={() => void share(Track.Source.ScreenShare, screen)}
        >
          <ScreenIcon />
        </button>
      )}
    </>
  );
}
