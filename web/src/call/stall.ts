/** Tells a voice that is silent from one that does not come any more: silence comes as packets too. */
export interface PacketWatch {
  bytes: number;
  sinceMs: number;
}

/** The media client itself notices a broken connection only after ten seconds and more. */
export const STALL_MS = 2_500;

/** Takes the number of bytes that have come, at a time; before the first has come nothing is missing. */
export function watched(watch: PacketWatch | undefined, bytes: number, nowMs: number): PacketWatch {
  if (watch === undefined || bytes !== watch.bytes || bytes === 0) return { bytes, sinceMs: nowMs };
  return watch;
}

export function stalls(watch: PacketWatch | undefined, nowMs: number): boolean {
  return watch !== undefined && nowMs - watch.sinceMs >= STALL_MS;
}
