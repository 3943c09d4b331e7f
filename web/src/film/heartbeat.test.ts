import { describe, expect, it, vi } from 'vitest';
import { Heartbeat } from './heartbeat';

function beats(duration: number) {
  const send = vi.fn(() => Promise.resolve({ counted: true }));
  return { send, heart: new Heartbeat('v', duration, send) };
}

describe('Heartbeat', () => {
  it('tells as soon as a view counts, then every ten seconds', () => {
    const { send, heart } = beats(5);
    for (let second = 0; second <= 2.25; second += 0.25) heart.playing(second, second * 1000);
    expect(send).not.toHaveBeenCalled();
    heart.playing(2.5, 2_500);
    expect(send).toHaveBeenCalledOnce();
    const long = beats(600);
    for (let second = 0; second <= 60; second += 0.5) long.heart.playing(second, second * 1000);
    expect(long.send.mock.calls.length).toBeGreaterThanOrEqual(6);
    expect(long.send.mock.calls.length).toBeLessThanOrEqual(7);
  });

  it('does not count jumps and pauses as watched', () => {
    const { heart } = beats(600);
    heart.playing(0, 0);
    heart.playing(1, 1_000);
    heart.playing(300, 2_000);
    heart.playing(301, 3_000);
    heart.stopped(301, 3_500);
    heart.playing(400, 60_000);
    expect(heart.watchedSeconds).toBeCloseTo(2);
  });
});
