/** What makes the page an app: icons, drawn from its mark, a service worker that knows this build's files, and these small. */
import { initWasm, Resvg } from '@resvg/resvg-wasm';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';

const PLAIN = { inset: 0, corner: 9 };
/** To its edges: the system cuts it to its own shape, and shows the middle four fifths for certain. */
const FULL = { inset: 0.14, corner: 0 };
const ICONS = [
  { file: 'icon-192.png', size: 192, ...PLAIN },
  { file: 'icon-512.png', size: 512, ...PLAIN },
  { file: 'icon-maskable-512.png', size: 512, ...FULL },
  { file: 'apple-touch-icon.png', size: 180, ...FULL },
];

/** @returns {import('vite').Plugin} */
export function app() {
  return {
    name: 'app',
    apply: 'build',
    async generateBundle(_, bundle) {
      const require = createRequire(import.meta.url);
      await initWasm(await readFile(require.resolve('@resvg/resvg-wasm/index_bg.wasm')));
      for (const { file, size, inset, corner } of ICONS) {
        const drawn = new Resvg(mark(inset, corner), { fitTo: { mode: 'width', value: size } });
        this.emitFile({ type: 'asset', fileName: file, source: drawn.render().asPng() });
      }
      const files = shell(bundle);
      const version = createHash('sha256').update(files.join()).digest('hex').slice(0, 12);
      const worker = await readFile(new URL('./sw.js', import.meta.url), 'utf8');
      this.emitFile({
        type: 'asset',
        fileName: 'sw.js',
        source: worker.replace('__VERSION__', version).replace("['__FILES__']", JSON.stringify(files)),
      });
    },
    // From what was written, so that it is the same to the byte; a server that compresses for each phone would be slower.
    async writeBundle({ dir }, bundle) {
      for (const file of Object.keys(bundle).filter((name) => /^assets\/.*\.(js|css)$/.test(name))) {
        const whole = await readFile(join(dir, file));
        await writeFile(join(dir, `${file}.gz`), gzipSync(whole, { level: constants.Z_BEST_COMPRESSION }));
      }
    },
  };
}

/** The mark as an SVG; `inset` is the share of each side that is kept free of its bars, `corner` a radius of 32. */
function mark(inset, corner) {
  const scale = 1 - 2 * inset;
  const moved = `translate(${16 * (1 - scale)} ${16 * (1 - scale)}) scale(${scale})`;
  return (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">' +
    `<rect width="32" height="32" rx="${corner}" fill="#0f766e"/><g transform="${moved}">` +
    '<path d="M8 14v4M13.3 10v12M18.6 7v18M24 13v6" stroke="#fff" stroke-width="3" stroke-linecap="round"/></g></svg>'
  );
}

/** What the page one talks on is made of; the pages of calls are not kept. */
function shell(bundle) {
  const chunks = Object.values(bundle).filter((part) => part.type === 'chunk');
  const entry = chunks.find((chunk) => chunk.isEntry && chunk.facadeModuleId?.endsWith('index.html'));
  if (!entry) throw new Error('the build has no index.html');
  const wanted = new Set();
  const take = (file) => {
    const chunk = chunks.find(({ fileName }) => fileName === file);
    if (!chunk || wanted.has(file)) return;
    wanted.add(file);
    for (const style of chunk.viteMetadata?.importedCss ?? []) wanted.add(style);
    for (const other of [...chunk.imports, ...chunk.dynamicImports]) take(other);
  };
  take(entry.fileName);
  return [...wanted].sort().map((file) => `/${file}`);
}
