import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../styles/base.css';
import '../styles/calls.css';
import { CallsApp } from './CallsApp';

const root = document.getElementById('root');
if (!root) throw new Error('calls.html has no #root');
createRoot(root).render(
  <StrictMode>
    <CallsApp path={window.location.pathname} />
  </StrictMode>,
);
