import type { PatchVideo, Privacy } from '$/api/types';

/** What one says of a film while it is on its way. */
export interface Details {
  title: string;
  description: string;
  /** A handle. */
  channel: string;
  privacy: Privacy;
  tags: string[];
}

export const TITLE_LENGTH_MAX = 120;
export const DESCRIPTION_LENGTH_MAX = 5_000;
export const TAGS_MAX = 30;
export const TAG_LENGTH_MAX = 50;

/** What the creation's header has room for, in bytes; the rest follows with a PATCH. */
const METADATA_DESCRIPTION_BYTES_MAX = 6_000;

/** 'my_summer.holiday_2026.MP4' → 'my summer holiday 2026', as the server does. */
export function titleOf(fileName: string, untitled: string): string {
  const stem = fileName.includes('.') ? fileName.slice(0, fileName.lastIndexOf('.')) : fileName;
  const title = stem.replace(/[_.]/g, ' ').split(/\s+/).filter(Boolean).join(' ');
  return [...title].slice(0, TITLE_LENGTH_MAX).join('').trim() || untitled;
}

/** 'cats, Dogs,,cats' → ['cats', 'Dogs'] */
export function tagsOf(text: string): string[] {
  const tags = text
    .split(/[,\n]/)
    .map((tag) => [...tag.trim().replace(/^#/, '')].slice(0, TAG_LENGTH_MAX).join('').trim())
    .filter(Boolean);
  const seen = new Set<string>();
  return tags.filter((tag) => !seen.has(tag.toLowerCase()) && seen.add(tag.toLowerCase())).slice(0, TAGS_MAX);
}

/** What goes along with the upload's creation: all of it, except a description that is too long for a header. */
export function firstDetails(details: Details, fileName: string): Details {
  const title = details.title.trim() || titleOf(fileName, fileName);
  const tooLong = new TextEncoder().encode(details.description).length > METADATA_DESCRIPTION_BYTES_MAX;
  return { ...details, title, description: tooLong ? '' : details.description, tags: [...details.tags] };
}

/** tus metadata: text by name, without what is empty. */
export function metadataOf(details: Details, fileName: string): Record<string, string> {
  const all: Record<string, string> = {
    filename: fileName,
    title: details.title,
    description: details.description,
    channel: details.channel,
    privacy: details.privacy,
    tags: details.tags.join(','),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''));
}

/** What the server has to be told; `undefined` when it knows all. A film is never left without a title. */
export function changes(known: Details, wanted: Details): PatchVideo | undefined {
  const patch: PatchVideo = {};
  const title = wanted.title.trim();
  if (title && title !== known.title) patch.title = title;
  if (wanted.description !== known.description) patch.description = wanted.description;
  if (wanted.channel && wanted.channel !== known.channel) patch.channel = wanted.channel;
  if (wanted.privacy !== known.privacy) patch.privacy = wanted.privacy;
  if (wanted.tags.join(',') !== known.tags.join(',')) patch.tags = [...wanted.tags];
  return Object.keys(patch).length > 0 ? patch : undefined;
}
