// What is left of an id or a word in the data folder of an instance that has ended.
//
// The databases are asked record by record (`djstreamctl store find`): their own files, their journals, what was set
// aside and backups may hold bytes of long ago, and only live records count. All other files are read as they are.

import { execFile } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';

import { CONTROL_PROGRAM } from './server.mjs';

const ALPHABET = '123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ';
const OF_STORES = /^[^/]+\/(engine|journal|blobs|backups?|damaged)([^/]*)(\/|$)|^backups?\//;

/** The sixteen bytes of an id's 22 characters (Flickr base58). */
export function idBytes(text) {
  let value = 0n;
  for (const letter of text) value = value * 58n + BigInt(ALPHABET.indexOf(letter));
  return Buffer.from(value.toString(16).padStart(32, '0'), 'hex');
}

/** The records that have one of these texts in a key or a value, in any of the forms that an id has there. */
export async function recordsWith(data, ...texts) {
  const args = ['--data', data, '-o', 'json', 'store', 'find', ...texts];
  const { stdout } = await promisify(execFile)(CONTROL_PROGRAM, args, { maxBuffer: 64 << 20 });
  const found = JSON.parse(stdout);
  return Array.isArray(found) ? found : found.items;
}

/** The files and folders beside the databases that have it in their name or content. */
export async function filesWith(data, text) {
  const found = [];
  const needles = [Buffer.from(text)];
  if (/^[1-9A-HJ-NP-Za-km-z]{22}$/.test(text)) needles.push(idBytes(text));
  for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = relative(data, path);
    if (OF_STORES.test(name)) continue;
    if (name.includes(text)) found.push(name);
    else if (entry.isFile()) {
      const bytes = await readFile(path);
      if (needles.some((needle) => bytes.includes(needle))) found.push(name);
    }
  }
  return found;
}
