"""A program of its own that speaks: text lines in, length-prefixed PCM out.

Runs piper-tts (GPL-3.0) in a separate process; only the standard library and piper are imported here, nothing of
repartee. Protocol: one JSON line per request on stdin, `{"text": ..., "speed": ...}`; on stdout a 4-byte
big-endian length before each block of 16-bit mono PCM, then a length of zero when the request is done. The first
block of all is a JSON line with the sample rate.
"""

import json
import sys


def main() -> None:
    """Speak until stdin closes."""
    import onnxruntime  # noqa: PLC0415 - comes with piper, and a missing one is reported by the parent
    from piper import PiperVoice, SynthesisConfig  # noqa: PLC0415

    gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    voice = PiperVoice.load(sys.argv[1], sys.argv[2], use_cuda=gpu)
    out = sys.stdout.buffer
    out.write((json.dumps({"sample_rate_hz": voice.config.sample_rate}) + "\n").encode())
    out.flush()
    for line in sys.stdin:
        request = json.loads(line)
        config = SynthesisConfig(length_scale=1.0 / float(request.get("speed") or 1.0))
        for chunk in voice.synthesize(request["text"], config):
            audio = chunk.audio_int16_bytes
            out.write(len(audio).to_bytes(4, "big") + audio)
            out.flush()
        out.write(bytes(4))
        out.flush()


if __name__ == "__main__":
    main()
