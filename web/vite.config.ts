import { svelte } from '@sveltejs/vite-plugin-svelte';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { bootScript } from './build/boot.ts';
import { lucideIcons } from './build/icons.ts';
import { sharedChunks } from './build/chunks.ts';
import { compress } from './build/compress.ts';

// The gateway that the dev server passes API calls on to.
const gateway = process.env.DJSTREAM_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [lucideIcons(), svelte(), bootScript(), compress()],
  resolve: { alias: { $: fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    // These know `light-dark()`: written out for older ones, it would not follow the player, which is always dark.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    // The boot script preloads what matters; lists of scripts for every page would only make the main file larger.
    modulePreload: {
      polyfill: false,
      resolveDependencies: (_file, deps, context) =>
        context.hostType === 'html' ? deps : deps.filter((dep) => dep.endsWith('.css')),
    },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: sharedChunks,
        },
      },
    },
  },
  server: {
    proxy: {
      '/api': { target: gateway, ws: true },
      '/media': gateway,
      '/embed': gateway,
      '/oembed': gateway,
    },
  },
  test: { include: ['src/**/*.test.ts', 'build/**/*.test.ts'], environment: 'node' },
});
