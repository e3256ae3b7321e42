import { useEffect, useState } from 'react';

/** Whole seconds left, from a number given once. */
export function useCountdown(fromS: number): number {
  const [leftS, setLeftS] = useState(fromS);
  useEffect(() => {
    const timer = setInterval(() => {
      setLeftS((left) => Math.max(0, left - 1));
    }, 1000);
    return () => {
      clearInterval(timer);
    };
  }, []);
  return leftS;
}
