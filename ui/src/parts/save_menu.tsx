/** What a panel can be saved as: a button that opens the choice. */

import { useEffect, useRef, useState } from "preact/hooks";

export interface Kind {
  name: string;
  about: string;
  save: () => void;
}

export function SaveMenu({ panel, files }: { panel: string; files: Kind[] }) {
  const place = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (!open) return;
    const elsewhere = (event: Event) => !place.current!.contains(event.target as Node) && setOpen(false);
    const events = ["pointerdown", "focusin"] as const;
    for (const kind of events) document.addEventListener(kind, elsewhere);
    return () => events.forEach((kind) => document.removeEventListener(kind, elsewhere));
  }, [open]);
  if (!files.length) return null;
  const button = () => place.current!.querySelector("button")!;
  const onKeyDown = (event: KeyboardEvent) => {
    const items = [...place.current!.querySelectorAll("button")];
    const at = items.indexOf(document.activeElement as HTMLButtonElement);
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") setOpen(false);
    else if (!open || !move) return;
    event.preventDefault();
    const next = event.key === "Escape" ? 0 : Math.max(0, Math.min(items.length - 1, at + move!));
    items[next].focus();
  };
  const choose = (kind: Kind) => {
    setOpen(false);
    button().focus();
    kind.save();
  };
  return (
    <div class="save" ref={place} onKeyDown={open ? onKeyDown : undefined}>
      <button type="button" class="quiet" aria-expanded={open} title={`Save “${panel}” as a file`} onClick={() => setOpen(!open)}>
        Save
      </button>
      {open && (
        <div class="save-kinds" role="group" aria-label="Save as">
          {files.map((kind) => (
            <button key={kind.name} type="button" onClick={() => choose(kind)}>
              <b>{kind.name}</b> <span>{kind.about}</span>
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
