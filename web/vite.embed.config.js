import { defineConfig } from 'vite';

/** The widget for other sites: one small file under a name that stays. */
export default defineConfig({
  build: {
    outDir: '../src/repartee/server/static',
    emptyOutDir: false,
    target: 'es2022',
    rolldownOptions: {
      input: 'src/embed/main.ts',
      output: { format: 'iife', entryFileNames: 'embed.js' },
    },
  },
});
