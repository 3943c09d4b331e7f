const GAP_PX = 6;
const EDGE_PX = 8;

/**
 * Puts a popover at its anchor: below where there is room, else above, and always inside the window.
 * Set through the CSSOM, which the content security policy allows.
 */
export function place(popover: HTMLElement, anchor: HTMLElement, align: 'start' | 'end' = 'end'): void {
  const at = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = popover;
  const rtl = getComputedStyle(anchor).direction === 'rtl';
  const toRight = (align === 'end') === rtl;
  const left = toRight ? at.left : at.right - width;
  const below = at.bottom + GAP_PX;
  const fitsBelow = below + height + EDGE_PX <= innerHeight;
  const top = fitsBelow ? below : Math.max(EDGE_PX, at.top - GAP_PX - height);
  popover.style.left = `${clamp(left, EDGE_PX, innerWidth - width - EDGE_PX)}px`;
  popover.style.top = `${top}px`;
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, value));
}
