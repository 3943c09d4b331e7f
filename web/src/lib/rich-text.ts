/** What plain text is made of once links, times and names in it can be followed. */
export type Piece =
  | { kind: 'text'; text: string }
  | { kind: 'link'; text: string; href: string }
  | { kind: 'time'; text: string; seconds: number }
  | { kind: 'mention'; text: string; username: string }
  | { kind: 'tag'; text: string; tag: string };

// One pass, so that a time inside an address stays part of the address.
const PATTERN =
  /(?<link>https?:\/\/[^\s<>"]+)|(?<time>(?<![\d:.])(?:\d{1,2}:)?\d{1,3}:[0-5]\d(?![\d:]))|(?<mention>(?<![\p{L}\p{N}_@./])@[a-z0-9][a-z0-9_.-]{1,29})|(?<tag>(?<![\p{L}\p{N}_&/])#[\p{L}\p{N}_]{2,50})/giu;

/** Splits plain text. Times beyond `durationS` are no times of this film. */
export function pieces(text: string, durationS = Number.POSITIVE_INFINITY): Piece[] {
  const result: Piece[] = [];
  let end = 0;
  const plain = (upTo: number): void => {
    if (upTo > end) result.push({ kind: 'text', text: text.slice(end, upTo) });
  };
  for (const found of text.matchAll(PATTERN)) {
    const piece = pieceOf(found, durationS);
    if (!piece) continue;
    plain(found.index);
    result.push(piece);
    end = found.index + piece.text.length;
  }
  plain(text.length);
  return result;
}

function pieceOf(found: RegExpMatchArray, durationS: number): Piece | undefined {
  const { link, time, mention, tag } = found.groups ?? {};
  if (link) return linkPiece(link);
  if (time) {
    const seconds = parseClock(time);
    return seconds !== undefined && seconds <= durationS ? { kind: 'time', text: time, seconds } : undefined;
  }
  if (mention) {
    // A full stop or hyphen at the end belongs to the sentence.
    const text = mention.replace(/[.-]+$/, '');
    return { kind: 'mention', text, username: text.slice(1).toLowerCase() };
  }
  return tag ? { kind: 'tag', text: tag, tag: tag.slice(1) } : undefined;
}

function linkPiece(found: string): Piece | undefined {
  const text = withoutSentenceEnd(found);
  return URL.canParse(text) ? { kind: 'link', text, href: text } : undefined;
}

/** Punctuation after an address, and a bracket that was opened before it, are not part of it. */
function withoutSentenceEnd(link: string): string {
  let text = link;
  for (;;) {
    const last = text.at(-1) ?? '';
    const unbalanced = (last === ')' && more(text, ')', '(')) || (last === ']' && more(text, ']', '['));
    if (!unbalanced && !'.,;:!?\'"…'.includes(last)) return text;
    text = text.slice(0, -1);
  }
}

function more(text: string, one: string, other: string): boolean {
  return text.split(one).length > text.split(other).length;
}

/** '1:05' → 65, '1:02:03' → 3723, '90' → 90, '1h2m3s' → 3723 */
export function parseClock(text: string): number | undefined {
  const units = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$/.exec(text);
  if (text && units) {
    const [, hours = '0', minutes = '0', seconds = '0'] = units;
    return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  }
  if (!/^\d+(?::[0-5]\d){1,2}$/.test(text) && !/^\d+:\d{1,2}:[0-5]\d$/.test(text)) return undefined;
  return text.split(':').reduce((total, part) => total * 60 + Number(part), 0);
}
