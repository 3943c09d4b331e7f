import type core from './en/core';
import type pages from './en/pages';
import type studio from './en/studio';

/** A sentence with `{names}`, or one for each plural form, chosen by `count`. */
export type Message = string | { one: string; other: string };

/** English is the list of everything that the app says; every language has all of it. */
export type CoreCatalogue = Record<keyof typeof core, Message>;
export type PagesCatalogue = Record<keyof typeof pages, Message>;
export type StudioCatalogue = Record<keyof typeof studio, Message>;
export type MessageKey = keyof CoreCatalogue | keyof PagesCatalogue | keyof StudioCatalogue;
