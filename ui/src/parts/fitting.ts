/** Names that fit beside what is drawn. */

import type { Pen } from "../pen";
import { shortened } from "../text";

/** The text, its middle left out where it is too long for so many pixels. */
export function fitting(context: Pen, text: string, width: number): string {
  let length = Math.min(text.length, Math.ceil(width / 2)); // no letter is narrower: names may have thousands
  let short = shortened(text, length);
  while (length > 6 && context.measureText(short).width > width) short = shortened(text, --length);
  return short;
}
