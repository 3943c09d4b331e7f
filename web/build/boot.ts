import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Plugin, Rolldown } from 'vite';

const SOURCE = new URL('./boot.js', import.meta.url);
const PLACEHOLDER = '__PRELOADS__';
/** Pages that are preloaded, and what else each will need. */
const HOME = [/\/pages\/Home\.svelte$/];
const WATCH = [/\/pages\/Watch\.svelte$/, /\/i18n\/en\/pages\.ts$/, /hls(?:\.light)?\.(?:min\.)?m?js$/];

/**
 * Puts the blocking boot script into the page: it sets the theme before the first paint, and on
 * the home page and on watch pages starts fetching what they need while the browser still reads the main script.
 * It is a file, not inline, because the content security policy allows no inline script.
 */
export function bootScript(): Plugin {
  let built: { fileName: string; source: string } | undefined;
  return {
    name: 'djstream-boot',
    enforce: 'post',
    transformIndexHtml: {
      order: 'post',
      async handler(html, context) {
        const source = await readFile(SOURCE, 'utf8');
        if (!context.bundle) return inject(html, '/boot.js');
        const code = source.replace(PLACEHOLDER, JSON.stringify(preloads(context.bundle)));
        const hash = createHash('sha256').update(code).digest('base64url').slice(0, 8);
        const fileName = `assets/boot-${hash}.js`;
        built = { fileName, source: code };
        return inject(html, `/${fileName}`);
      },
    },
    // After Vite has written the page, which is when the name is known.
    generateBundle: {
      order: 'post',
      handler() {
        if (built) this.emitFile({ type: 'asset', ...built });
      },
    },
    configureServer(server) {
      server.middlewares.use('/boot.js', (_request, response) => {
        void readFile(SOURCE, 'utf8').then((source) => {
          response.setHeader('Content-Type', 'text/javascript');
          response.end(source.replace(PLACEHOLDER, '{}'));
        });
      });
    },
  };
}

function inject(html: string, src: string): string {
  return html.replace('<!--djstream:boot-->', `<script src="${src}"></script>`);
}

/** By the first part of the address: the page's chunk, what it imports, its styles. */
function preloads(bundle: Rolldown.OutputBundle): Record<string, string[]> {
  return { '': filesOf(bundle, HOME), watch: filesOf(bundle, WATCH) };
}

function filesOf(bundle: Rolldown.OutputBundle, modules: RegExp[]): string[] {
  const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
  const byName = new Map(chunks.map((chunk) => [chunk.fileName, chunk]));
  const wanted = new Set<string>();
  const add = (fileName: string): void => {
    const chunk = byName.get(fileName);
    // The main file and its styles are in the page already.
    if (!chunk || wanted.has(fileName) || chunk.isEntry || chunk.name === 'main') return;
    wanted.add(fileName);
    for (const css of chunk.viteMetadata?.importedCss ?? []) wanted.add(css);
    chunk.imports.forEach(add);
  };
  for (const chunk of chunks) {
    if (chunk.moduleIds.some((id) => modules.some((module) => module.test(id)))) add(chunk.fileName);
  }
  return [...wanted].map((file) => `/${file}`);
}
