import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const PREFIX = '@lucide/svelte/icons/';
const ICONS = new URL('../node_modules/@lucide/svelte/dist/icons/', import.meta.url);

type Node = [tag: string, attributes: Record<string, string>];

/**
 * Gives each imported Lucide icon as a lean component: its shapes as one string for our `Icon`. Lucide's own
 * component builds every icon from data with dynamic elements and spreads, which costs each page 3 kB of script.
 */
export function lucideIcons(): Plugin {
  return {
    name: 'djstream-icons',
    enforce: 'pre',
    resolveId(id) {
      return id.startsWith(PREFIX) ? `\0icon:${id.slice(PREFIX.length)}` : undefined;
    },
    async load(id) {
      const name = /^\0icon:(.+)$/.exec(id)?.[1];
      if (name === undefined) return undefined;
      // The module names the component; for an alias it is another icon's.
      const module = await text(`${name}.js`);
      const component = /from ["'].\/([\w-]+\.svelte)["']/.exec(module)?.[1];
      if (component === undefined) throw new Error(`Lucide's ${name} has an unknown form`);
      return componentOf(shapes(await text(component)));
    },
  };
}

function text(file: string): Promise<string> {
  return readFile(fileURLToPath(new URL(file, ICONS)), 'utf8');
}

/** The inside of the `<svg>`, from the data in Lucide's component. */
export function shapes(source: string): string {
  const data = /const iconData = (\{.*\});/.exec(source)?.[1];
  if (data === undefined) throw new Error('an icon of Lucide has an unknown form');
  return (JSON.parse(data) as { node: Node[] }).node
    .map(([tag, attributes]) => `<${tag}${written(attributes)}/>`)
    .join('');
}

function written(attributes: Record<string, string>): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('');
}

function componentOf(inside: string): string {
  return `import Icon from '/src/components/Icon.svelte';
export default (anchor, props) => Icon(anchor, {
  get size() { return props.size; },
  get strokeWidth() { return props.strokeWidth; },
  shapes: ${JSON.stringify(inside)},
});`;
}
