/** A name that came from a file: text only, isolated from the direction around it, hidden characters written out. */

import { shortened, visible } from "../text";

export function Name({ text, length = 72 }: { text: string; length?: number }) {
  const shown = visible(text) || "(no name)";
  const short = shortened(shown, length);
  return (
    <bdi class="name" title={short === shown ? undefined : shortened(shown, 600)}>
      {short}
    </bdi>
  );
}
