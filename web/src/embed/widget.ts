/**
 * The widget for other sites: a button, and the page in a frame behind it.
 *
 *   <script src="https://voice.example/embed.js" async data-label="Talk to us"></script>
 *
 * Everything that counts (microphone, tokens, the call) is in the frame, on the server's own origin: a site around it
 * can neither hear nor read a word, and the server says by its headers which sites may show it.
 */
import { FRAME_PATH, isFrameMessage, type FrameState } from './frame';
import type { WidgetOptions } from './options';
import styles from './widget.css?inline';

const READY_MS = 10_000;
const SVG = 'http://www.w3.org/2000/svg';

export class Widget {
  readonly #options: WidgetOptions;
  readonly #host = document.createElement('div');
  readonly #button = document.createElement('button');
  readonly #panel = document.createElement('div');
  #frame: HTMLIFrameElement | undefined;
  #state: FrameState = 'idle';
  #unanswered: ReturnType<typeof setTimeout> | undefined;

  constructor(options: WidgetOptions) {
    this.#options = options;
    const root = this.#host.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet(); // a <style> would need the site's policy to allow it
    sheet.replaceSync(styles);
    root.adoptedStyleSheets = [sheet];
    this.#host.dataset['side'] = options.side;
    if (options.color && CSS.supports('color', options.color)) this.#host.style.setProperty('--color', options.color);
    this.#button.type = 'button';
    this.#button.className = 'launcher';
    const name = document.createElement('span');
    name.textContent = options.label;
    this.#button.append(drawn('M8 14v4M13.3 10v12M18.6 7v18M24 13v6', 32), name);
    this.#button.setAttribute('aria-haspopup', 'dialog');
    this.#button.addEventListener('click', () => { this.toggle(); });
    this.#panel.className = 'panel';
    this.#panel.setAttribute('role', 'dialog');
    this.#panel.setAttribute('aria-label', options.label);
    this.#panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
    this.#panel.append(this.#closer());
    root.append(this.#panel, this.#button);
    this.#show(false);
    window.addEventListener('message', this.#hear);
    document.body.append(this.#host);
  }

  get isOpen(): boolean {
    return !this.#panel.hidden;
  }

  open(): void {
    if (!this.#frame) this.#load();
    this.#show(true);
    this.#frame?.focus();
  }

  /** Out of sight. A call goes on; without one, nothing is kept of the page. */
  close(): void {
    this.#show(false);
    this.#button.focus();
    if (this.#state === 'idle' || this.#state === 'over') this.#unload();
  }

  toggle(): void {
    if (this.isOpen) this.close();
    else this.open();
  }

  /** Takes the widget off the page; a call ends. */
  remove(): void {
    window.removeEventListener('message', this.#hear);
    this.#unload();
    this.#host.remove();
  }

  #closer(): HTMLElement {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'closer';
    button.setAttribute('aria-label', 'Minimise');
    button.append(drawn('M6 9l6 6 6-6', 24));
    button.addEventListener('click', () => { this.close(); });
    return button;
  }

  #show(open: boolean): void {
    this.#panel.hidden = !open;
    this.#host.dataset['open'] = String(open);
    this.#button.setAttribute('aria-expanded', String(open));
  }

  #load(): void {
    const frame = document.createElement('iframe');
    frame.title = this.#options.label;
    frame.allow = 'microphone; autoplay; screen-wake-lock; speaker-selection';
    frame.src = this.#options.origin + FRAME_PATH;
    this.#frame = frame;
    this.#panel.append(frame);
    this.#unanswered = setTimeout(() => {
      console.warn(
        `repartee: ${this.#options.origin} does not show itself here. Is ${window.location.origin} in its REPARTEE_ALLOWED_ORIGINS, and does this page's policy allow frames of it?`,
      );
    }, READY_MS);
  }

  #unload(): void {
    clearTimeout(this.#unanswered);
    this.#frame?.remove();
    this.#frame = undefined;
    this.#tell('idle');
  }

  #tell(state: FrameState): void {
    this.#state = state;
    this.#host.dataset['state'] = state;
  }

  readonly #hear = (event: MessageEvent<unknown>): void => {
    const fromFrame = this.#frame !== undefined && event.source === this.#frame.contentWindow;
    if (!fromFrame || event.origin !== this.#options.origin || !isFrameMessage(event.data)) return;
    clearTimeout(this.#unanswered);
    if (event.data.state) this.#tell(event.data.state);
    if (event.data.repartee === 'minimise') this.close();
  };
}

/** Built by hand: markup in a string is what a site's policy may forbid. */
function drawn(path: string, size: number): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${size} ${size}`);
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}
