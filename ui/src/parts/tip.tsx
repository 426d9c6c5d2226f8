/** An explanation behind a small question mark: on hover, on focus and on a tap; Escape closes it. */

import { useId, useRef, useState } from "preact/hooks";

export function Tip({ text }: { text: string }) {
  const [open, set] = useState(false);
  const place = useRef<HTMLSpanElement>(null);
  // Towards the side with room.
  const left = (place.current?.getBoundingClientRect().left ?? 0) > window.innerWidth - 340;
  const id = useId();
  return (
    <span class="tip" ref={place} onMouseEnter={() => set(true)} onMouseLeave={() => set(false)}>
      <button
        type="button"
        class="tip-mark"
        aria-label="What is this?"
        aria-describedby={open ? id : undefined}
        onFocus={() => set(true)}
        onBlur={() => set(false)}
        onClick={() => set(true)}
        onKeyDown={(event) => event.key === "Escape" && set(false)}
      >
        ?
      </button>
      {open && (
        <span role="tooltip" id={id} class={`tip-text ${left ? "leftwards" : ""}`}>
          {text}
        </span>
      )}
    </span>
  );
}
