export interface WidgetOptions {
  /** Of the server, as `https://voice.example`. */
  origin: string;
  label: string;
  side: 'left' | 'right';
  /** Any CSS colour; undefined is the widget's own. */
  color: string | undefined;
}

/** Reads what the script's tag says; what it says wrongly is as if it were not there. */
export function optionsOf(script: { src: string; dataset: DOMStringMap }): WidgetOptions {
  const { label, side, color } = script.dataset;
  return {
    origin: new URL(script.src).origin,
    label: label?.trim().slice(0, 80) || 'Talk to us',
    side: side === 'left' ? 'left' : 'right',
    color,
  };
}
