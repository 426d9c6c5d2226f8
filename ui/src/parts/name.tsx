/** A name that came from a file: text only, isolated from the direction around it, hidden characters written out. */

import { shortened, visible } from "../text";

/** What stands for a name without characters. */
export const NAMELESS = "(no name)";

export function Name({ text, length = 72 }: { text: string; length?: number }) {
  const shown = visible(text) || NAMELESS;
  const short = shortened(shown, length);
  return (
    <bdi class="name" title={short === shown ? undefined : shortened(shown, 600)}>
      {short}
    </bdi>
  );
}
