/*
 * Words. A language is three files: `core`, which every page needs, `pages`, which is fetched beside the
 * code of the first page that is not the home page, and `studio`, for the pages about one's own things.
 * English's core is in the main bundle. Home-made on purpose: Paraglide compiles every language into every
 * page's code, and changing the language needs a reload; this is one small file, fully typed (a key that
 * does not exist, or that a language lacks, does not compile), and it switches at once.
 */
import * as format from '$/lib/format';
import { recall, remember } from '$/lib/storage';
import type { CoreCatalogue, Message, MessageKey, PagesCatalogue, StudioCatalogue } from './catalogue';
import englishCore from './en/core';

export type { Message, MessageKey } from './catalogue';
export type Values = Record<string, string | number>;

/** Each with its own name for itself. */
export const LANGUAGES = { en: 'English', de: 'Deutsch' } as const;
export type Language = keyof typeof LANGUAGES;

interface Loaders {
  core: () => Promise<CoreCatalogue>;
  pages: () => Promise<PagesCatalogue>;
  studio: () => Promise<StudioCatalogue>;
}

/** What is fetched only when a page needs it. */
type Later = 'pages' | 'studio';

const LOADERS: Record<Language, Loaders> = {
  en: {
    core: async () => englishCore,
    pages: async () => (await import('./en/pages')).default,
    studio: async () => (await import('./en/studio')).default,
  },
  de: {
    core: async () => (await import('./de/core')).default,
    pages: async () => (await import('./de/pages')).default,
    studio: async () => (await import('./de/studio')).default,
  },
};

const KEY = 'language';

function isLanguage(value: unknown): value is Language {
  return typeof value === 'string' && value in LANGUAGES;
}

/** What was chosen on this device, else the first of the browser's languages that we have. */
function preferred(): Language {
  const chosen = recall<string>(KEY);
  if (isLanguage(chosen)) return chosen;
  for (const tag of navigator.languages) {
    const language = tag.split('-')[0];
    if (isLanguage(language)) return language;
  }
  return 'en';
}

class Words {
  #language = $state<Language>('en');
  #catalogue = $state.raw<Partial<Record<MessageKey, Message>>>(englishCore);
  #wanted = new Set<Later>();
  #loading = Promise.resolve();
  #turn = 0;
  #wished: Language = 'en';

  get language(): Language {
    return this.#language;
  }

  /** Loads the preferred language. Await it before the first page is shown. */
  async start(): Promise<void> {
    await this.#use(preferred());
  }

  /** Loads what pages other than the home page say. Cheap when it is there. */
  async needPages(): Promise<void> {
    await this.#need('pages');
  }

  /** Loads what the pages about one's own things say, beside the others. */
  async needStudio(): Promise<void> {
    await this.#need('pages', 'studio');
  }

  /** Changes the language here and now, and remembers it. */
  async choose(language: Language): Promise<void> {
    remember(KEY, language);
    await this.#use(language);
  }

  message(key: MessageKey): Message {
    return this.#catalogue[key] ?? '';
  }

  async #need(...parts: Later[]): Promise<void> {
    const wanted = parts.every((part) => this.#wanted.has(part));
    for (const part of parts) this.#wanted.add(part);
    // What is wanted already may still be on its way.
    await (wanted ? this.#loading : this.#use(this.#wished));
  }

  #use(language: Language): Promise<void> {
    this.#wished = language;
    return (this.#loading = this.#load(language));
  }

  async #load(language: Language): Promise<void> {
    const turn = ++this.#turn;
    const loaders = LOADERS[language];
    const parts = await Promise.all([loaders.core(), ...[...this.#wanted].map((part) => loaders[part]())]);
    // A later wish has all of an earlier one.
    if (turn !== this.#turn) return this.#loading;
    this.#catalogue = Object.assign({}, ...parts) as Partial<Record<MessageKey, Message>>;
    this.#language = language;
    document.documentElement.lang = language;
  }
}

export const words = new Words();

/** The sentence for a key, with its values; numbers are written as the language does. */
export function t(key: MessageKey, values: Values = {}): string {
  return fill(words.message(key), values, words.language);
}

/** Chooses the plural form and puts the values in. */
export function fill(message: Message, values: Values, language: string): string {
  const text = typeof message === 'string' ? message : message[form(values.count, language)];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === 'number' ? format.number(value, language) : value;
  });
}

function form(count: string | number | undefined, language: string): 'one' | 'other' {
  return typeof count === 'number' && new Intl.PluralRules(language).select(count) === 'one' ? 'one' : 'other';
}

/** 1234 → '1.2K' */
export const shortCount = (value: number) => format.compact(value, words.language);
/** 1234 → '1,234' */
export const exactCount = (value: number) => format.number(value, words.language);
/** '3 days ago' */
export const timeAgo = (time: string) => format.relative(new Date(time), new Date(), words.language);
/** 'November 24, 2026 at 2:19 PM' */
export const exactTime = (time: string) => format.dateTime(new Date(time), words.language);
/** '24 Nov 2026' */
export const day = (time: string) => format.date(new Date(time), words.language);
/** 1500000 → '1.5 MB' */
export const fileSize = (bytes: number) => format.bytes(bytes, words.language);
/** 'about 4 minutes' */
export const timeSpan = (seconds: number) => format.span(seconds, words.language);

/** '1.2K views', chosen by the exact count. */
export function counted(key: MessageKey, count: number): string {
  const message = words.message(key);
  const text = typeof message === 'string' ? message : message[form(count, words.language)];
  return text.replace('{count}', shortCount(count));
}
