import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist', 'node_modules', 'build/boot.js'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      // `request<void>` is a call that answers nothing.
      '@typescript-eslint/no-invalid-void-type': 'off',
    },
  },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, svelteConfig } },
    rules: {
      // SvelteKit's rule; our router takes plain paths.
      'svelte/no-navigation-without-resolve': 'off',
      // Plain maps, sets and dates are plain on purpose: what is shown is `$state` beside them.
      'svelte/prefer-svelte-reactivity': 'off',
      // Spreading onto an element brings Svelte's code for every kind of attribute: 2 kB on the first page.
      'no-restricted-syntax': ['error', 'SvelteElement[kind="html"] > SvelteStartTag > SvelteSpreadAttribute'],
    },
  },
);
