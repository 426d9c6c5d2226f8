/** A titled box with what every panel has: an explanation, its state, and its data or picture as a file. */

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type { Loaded } from "../api/data";
import { type LegendItem, saveCsv, savePng, saveSvg, type Table } from "../save";
import { useTheme } from "../theme";
import { type Kind, SaveMenu } from "./save_menu";
import { Failure, Loading, Working } from "./states";
import { Tip } from "./tip";

const PNG = ["PNG", "The picture in pixels", savePng] as const;
const SVG = ["SVG", "The picture as lines and text, sharp at any size", saveSvg] as const;

interface Props {
  title: string;
  /** What the panel shows, in plain words. */
  about?: string;
  /** Short facts beside the title. */
  note?: ComponentChildren;
  /** Controls in the panel's head. */
  controls?: ComponentChildren;
  csv?: () => Table;
  picture?: boolean;
  /** What the colors of a saved picture mean; on the page the charts say it themselves. */
  legend?: LegendItem[];
  className?: string;
  children: ComponentChildren;
}

export function Panel({ title, about, note, controls, csv, picture, legend = [], className = "", children }: Props) {
  const body = useRef<HTMLDivElement>(null);
  const { colors } = useTheme();
  const save = (as: typeof savePng) => () => body.current && as(body.current, title, legend, colors);
  const files: Kind[] = [
    ...(csv ? [{ name: "CSV", about: "The numbers as a table", save: () => saveCsv(csv(), title) }] : []),
    ...(picture ? [PNG, SVG].map(([kind, about, as]) => ({ name: kind, about, save: save(as) })) : []),
  ];
  return (
    <section class={`panel ${className}`} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {about && <Tip text={about} />}
        {note && <span class="panel-note">{note}</span>}
        <div class="panel-controls">
          {controls}
          <SaveMenu panel={title} files={files} />
        </div>
      </header>
      <div class="panel-body" ref={body}>
        {children}
      </div>
    </section>
  );
}

/** What belongs to some data once it is there; before that, why it is not. */
export function When<T>({ loaded, height, children }: { loaded: Loaded<T>; height?: number; children: (data: T) => ComponentChildren }) {
  if (loaded.data !== null) return <>{children(loaded.data)}</>;
  if (loaded.error) return <Failure error={loaded.error} />;
  if (loaded.work) return <Working work={loaded.work} height={height} />;
  return <Loading height={height} />;
}
