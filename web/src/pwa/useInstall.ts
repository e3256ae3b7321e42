import { useEffect, useState } from 'react';

/** Of browsers that let a page offer its own installation. */
interface InstallEvent extends Event {
  prompt: () => Promise<unknown>;
}

/** Offers to install the page as an app; undefined where that is not possible, or done. */
export function useInstall(): (() => void) | undefined {
  const [offer, setOffer] = useState<InstallEvent>();
  useEffect(() => {
    const offered = (event: Event) => {
      event.preventDefault(); // shown where it belongs, not over the call
      setOffer(event as InstallEvent);
    };
    const done = () => { setOffer(undefined); };
    window.addEventListener('beforeinstallprompt', offered);
    window.addEventListener('appinstalled', done);
    return () => {
      window.removeEventListener('beforeinstallprompt', offered);
      window.removeEventListener('appinstalled', done);
    };
  }, []);
  if (!offer) return undefined;
  return () => {
    void offer.prompt();
    setOffer(undefined); // an offer is good for one answer
  };
}
