import { optionsOf } from './options';
import { Widget } from './widget';

declare global {
  interface Window {
    repartee?: Widget;
  }
}

const script = document.currentScript;
const begin = () => {
  // Twice on one page would be two buttons over each other.
  if (script instanceof HTMLScriptElement) window.repartee ??= new Widget(optionsOf(script));
};
// eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- there is none yet where the script is in the head
if (document.body) begin();
else document.addEventListener('DOMContentLoaded', begin, { once: true });
