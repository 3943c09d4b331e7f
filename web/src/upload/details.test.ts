import { describe, expect, it } from 'vitest';
import { changes, firstDetails, metadataOf, tagsOf, titleOf, type Details } from './details';

const details: Details = { title: 'Rabbit', description: 'Wiese', channel: 'meadow', privacy: 'public', tags: ['a'] };

describe('titleOf', () => {
  it.each([
    ['my_summer.holiday_2026.MP4', 'my summer holiday 2026'],
    ['Urlaub', 'Urlaub'],
    ['.mp4', 'Untitled'],
    ['', 'Untitled'],
  ])('%s → %s', (name, title) => expect(titleOf(name, 'Untitled')).toBe(title));

  it('cuts between characters', () => {
    expect([...titleOf('🐇'.repeat(200), '')]).toHaveLength(120);
  });
});

describe('tagsOf', () => {
  it('takes each once, without what surrounds it', () => {
    expect(tagsOf(' cats, #Dogs,,Cats\nbirds ')).toEqual(['cats', 'Dogs', 'birds']);
  });

  it('takes no more than the server does', () => {
    expect(tagsOf(Array.from({ length: 50 }, (_, index) => `tag${index}`).join(','))).toHaveLength(30);
    expect(tagsOf('x'.repeat(80))[0]).toHaveLength(50);
  });
});

describe('changes', () => {
  it('is nothing when the server knows all', () => {
    expect(changes(details, { ...details, tags: ['a'] })).toBeUndefined();
  });

  it('names only what differs', () => {
    expect(changes(details, { ...details, title: 'Hare ', tags: ['a', 'b'] })).toEqual({
      title: 'Hare',
      tags: ['a', 'b'],
    });
  });

  it('never takes the title away', () => {
    expect(changes(details, { ...details, title: '  ' })).toBeUndefined();
  });
});

describe('what goes along with the creation', () => {
  it('leaves out what is empty', () => {
    expect(metadataOf({ ...details, description: '', tags: [] }, 'r.mp4')).toEqual({
      filename: 'r.mp4',
      title: 'Rabbit',
      channel: 'meadow',
      privacy: 'public',
    });
  });

  it('keeps a description back that a header has no room for', () => {
    const long = { ...details, description: 'ü'.repeat(4_000) };
    const first = firstDetails(long, 'r.mp4');
    expect(first.description).toBe('');
    expect(changes(first, long)).toEqual({ description: long.description });
  });

  it('has a title even when it was emptied', () => {
    expect(firstDetails({ ...details, title: ' ' }, 'my_film.mp4').title).toBe('my film');
  });
});
