// What the measurements share: medians, lines, and what processes have used.

import { readFile } from 'node:fs/promises';

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** One line: the figure, and what it is to reach. */
export function print(name, value, unit, wanted) {
  const shown = value >= 100 ? value.toFixed(0) : value.toFixed(2);
  console.log(`${name.padEnd(56)} ${shown.padStart(8)} ${unit.padEnd(4)} ${wanted ? `(to reach: ${wanted})` : ''}`);
}

/** How one figure stands to another, round by round, since a machine is not equally fast all the time. */
export function printRatio(name, ours, theirs, wanted) {
  const ratios = ours.map((value, round) => value / theirs[round]);
  print(name, median(ratios), '×', `${wanted}; rounds ${ratios.map((ratio) => ratio.toFixed(2)).join(' ')}`);
  return median(ratios);
}

/** Seconds of CPU that a process has used. */
export async function cpuSeconds(pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13).map(Number);
  return (user + system) / 100;
}
