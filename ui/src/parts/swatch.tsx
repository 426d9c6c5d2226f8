/** The color of one of several that are compared. */

export function Swatch({ color }: { color: string }) {
  return <i class="swatch" style={{ background: color }} aria-hidden="true" />;
}
