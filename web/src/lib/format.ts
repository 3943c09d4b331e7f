/** Numbers, times and sizes as people write them. Pure: language and the time now come in. */

const formatters = new Map<string, unknown>();

// Making an Intl object costs far more than using one.
function cached<T>(key: string, make: () => T): T {
  let formatter = formatters.get(key) as T | undefined;
  if (!formatter) {
    formatter = make();
    formatters.set(key, formatter);
  }
  return formatter;
}

export function number(value: number, language: string): string {
  return cached(`number ${language}`, () => new Intl.NumberFormat(language)).format(value);
}

export function compact(value: number, language: string): string {
  return cached(
    `compact ${language}`,
    () => new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 }),
  ).format(value);
}

/** 65 → '1:05', 3723 → '1:02:03' */
export function clock(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0;
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, '0');
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, '0')}:${rest}` : `${minutes}:${rest}`;
}

/** ISO 8601, for `<time datetime>`. */
export function isoDuration(seconds: number): string {
  return `PT${Math.max(0, Math.round(seconds))}S`;
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_557_600],
  ['month', 2_629_800],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** '3 days ago'; below a minute 'now'. Clocks that differ a little never say 'in 2 seconds'. */
export function relative(time: Date, now: Date, language: string): string {
  const seconds = Math.max(0, (now.getTime() - time.getTime()) / 1000);
  const formatter = cached(`relative ${language}`, () => new Intl.RelativeTimeFormat(language, { numeric: 'auto' }));
  for (const [unit, size] of STEPS) {
    if (seconds >= size) return formatter.format(-Math.floor(seconds / size), unit);
  }
  return formatter.format(0, 'second');
}

export function dateTime(time: Date, language: string): string {
  return cached(
    `dateTime ${language}`,
    () => new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short' }),
  ).format(time);
}

export function date(time: Date, language: string): string {
  return cached(`date ${language}`, () => new Intl.DateTimeFormat(language, { dateStyle: 'medium' })).format(time);
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];

export function bytes(value: number, language: string): string {
  const power = value < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  const unit = UNITS[power] ?? 'byte';
  const amount = value / 1000 ** power;
  const digits = power === 0 || amount >= 100 ? 0 : 1;
  return cached(
    `bytes ${language} ${unit} ${digits}`,
    () =>
      new Intl.NumberFormat(language, {
        style: 'unit',
        unit,
        unitDisplay: power === 0 ? 'long' : 'short',
        maximumFractionDigits: digits,
      }),
  ).format(amount);
}

/** A time to wait, rounded as a person would: '4 minutes', '1 hour', '20 seconds'. */
export function span(seconds: number, language: string): string {
  const [unit, size]: [string, number] =
    seconds >= 5_400 ? ['hour', 3_600] : seconds >= 90 ? ['minute', 60] : ['second', 1];
  const amount = unit === 'second' ? Math.max(1, roundTo(seconds, seconds > 20 ? 10 : 1)) : Math.round(seconds / size);
  return cached(
    `span ${language} ${unit}`,
    () => new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'long' }),
  ).format(amount);
}

function roundTo(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
