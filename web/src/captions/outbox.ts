/**
 * What was typed and is not known to have arrived. The media client says of words that they are sent when they have
 * left the page; it loses them where it connects anew, and the media server those that come right after. So each is kept
 * until the agent names it as taken, waits while there is no line, and goes again on the next one and after a while. The
 * agent takes each once, however often it comes.
 */
export interface Letter {
  id: string;
  text: string;
}

/** The agent reads four at once; what is more would be refused there. */
export const OUTBOX_MAX = 4;
/** Several times what a word takes to the agent and back. */
export const AGAIN_MS = 2_000;
/** On one line; what the agent refuses so often it does not want. */
export const TRIES_MAX = 5;

interface Kept extends Letter {
  /** The line it was sent on. */
  sentOn: string | null;
  tries: number;
}

export class Outbox {
  private kept: Kept[] = [];
  private line: string | null = null;
  private again: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly send: (letter: Letter) => Promise<unknown>,
    private readonly onTaken: (id: string) => void,
  ) {}

  /** Takes words; false when too many wait already. */
  add(letter: Letter): boolean {
    if (this.kept.length >= OUTBOX_MAX) return false;
    this.kept.push({ ...letter, sentOn: null, tries: 0 });
    this.flush();
    return true;
  }

  /**
   * Tells where the line stands.
   *
   * @param line Names this connection to this agent, null while there is none. A connection that was mended keeps its
   *   name: the media client itself repeats what got lost on it.
   * @param taken What the agent says it has taken, by id.
   */
  stands(line: string | null, taken: readonly string[]): void {
    const arrived = this.kept.filter(({ id }) => taken.includes(id));
    this.kept = this.kept.filter((letter) => !arrived.includes(letter));
    for (const { id } of arrived) this.onTaken(id);
    this.line = line;
    this.flush();
  }

  /** Sends nothing any more. */
  close(): void {
    clearTimeout(this.again);
    this.kept = [];
  }

  private flush(): void {
    for (const letter of this.kept) {
      if (this.line === null || letter.sentOn === this.line) continue;
      letter.sentOn = this.line;
      letter.tries = 0;
      this.post(letter);
    }
    clearTimeout(this.again);
    if (this.line !== null && this.kept.length > 0) this.again = setTimeout(() => { this.repeat(); }, AGAIN_MS);
  }

  private repeat(): void {
    for (const letter of this.kept) if (this.line !== null && letter.tries < TRIES_MAX) this.post(letter);
    this.flush();
  }

  private post(letter: Kept): void {
    letter.tries += 1;
    this.send({ id: letter.id, text: letter.text }).catch(() => undefined); // it goes again
  }
}
