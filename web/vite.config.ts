import { svelte } from '@sveltejs/vite-plugin-svelte';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { bootScript } from './build/boot.ts';
import { lucideIcons } from './build/icons.ts';
import { mainChunk } from './build/chunks.ts';
import { compress } from './build/compress.ts';

// The gateway that the dev server passes API calls on to.
const gateway = process.env.DJSTREAM_URL ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [lucideIcons(), svelte(), bootScript(), compress()],
  resolve: { alias: { $: fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: mainChunk, debugName: 'main' }],
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
