import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { app } from './build/app.js';

export default defineConfig({
  plugins: [react(), app()],
  build: {
    outDir: '../src/repartee/server/static',
    emptyOutDir: true,
    target: 'es2022',
    // The media client is most of the bundle and changes rarely: its own file stays in the browser's cache.
    rolldownOptions: {
      input: ['index.html', 'calls.html'],
      output: {
        codeSplitting: {
          groups: [
            // First, as a group takes what its modules import along: the pages of calls need no media client.
            { name: 'react', test: /node_modules[\\/](react|react-dom|scheduler)[\\/]/, priority: 2 },
            { name: 'livekit', test: /node_modules[\\/](livekit-client|@livekit)[\\/]/, priority: 1 },
          ],
        },
      },
    },
    chunkSizeWarningLimit: 800,
  },
  // `npm run dev` serves the page with hot reload; the API comes from a running `repartee up`.
  server: { proxy: { '/api': 'http://127.0.0.1:8080' } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
