import type { ReactNode } from 'react';

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true">
      {children}
    </svg>
  );
}

export const MicIcon = () => (
  <Icon>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
  </Icon>
);

export const MicOffIcon = () => (
  <Icon>
    <path d="M9 9.5V11a3 3 0 0 0 4.9 2.3M15 10.500V6a3 3 0 0 0-5.700-1.300M5.500 11.500a6.500 6.500 0 0 0 10.400 5.200M18.500 11.500a6.400 6.400 0 0 1-.700 2.900M12 18v3M4 4l16 16" />
  </Icon>
);

export const HangUpIcon = () => (
  <Icon>
    <path d="M3.500 14.500c0-1.500.800-2.700 2.200-3.400a14.600 14.600 0 0 1 12.600 0c1.400.700 2.200 1.900 2.200 3.400v.700c0 .800-.700 1.300-1.400 1.100l-2.700-.700a1.200 1.200 0 0 1-.900-1.200v-1.500a11.500 11.500 0 0 0-7 0v1.500c0 .600-.400 1.100-.900 1.200l-2.700.700c-.700.200-1.400-.300-1.400-1.100z" />
  </Icon>
);

export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5M6 11l6-6 6 6" />
  </Icon>
);

export const CameraIcon = () => (
  <Icon>
    <rect x="3" y="7" width="12" height="10" rx="2" />
    <path d="M15 11l6-3v8l-6-3" />
  </Icon>
);

export const ScreenIcon = () => (
  <Icon>
    <rect x="3" y="5" width="18" height="12" rx="2" />
    <path d="M9 21h6M12 17v4" />
  </Icon>
);

export const SoundIcon = () => (
  <Icon>
    <path d="M4 7h9M19 7h1M4 17h1M11 17h9" />
    <circle cx="16" cy="7" r="2.6" />
    <circle cx="8" cy="17" r="2.6" />
  </Icon>
);

export const ClockIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 7.500V12l3 2" />
  </Icon>
);

export const BrokenLineIcon = () => (
  <Icon>
    <path d="M4 4l16 16M2.500 9.300a14 14 0 0 1 4.300-2.700M10.700 5.600a14 14 0 0 1 10.800 3.700M6 13a9 9 0 0 1 4-2.300M15.300 11.300A9 9 0 0 1 18 13M9.200 16.500a4.400 4.400 0 0 1 4.600-.800M12 20h.01" />
  </Icon>
);

export const WarningIcon = () => (
  <Icon>
    <path d="M12 4.500l8.500 14.800h-17zM12 10v4M12 16.600h.01" />
  </Icon>
);
