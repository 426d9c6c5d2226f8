/** A titled box with what every panel has: an explanation, its state, and its data as CSV or PNG. */

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import type { Loaded } from "../api/data";
import { type LegendItem, saveCsv, savePng, type Table } from "../save";
import { useTheme } from "../theme";
import { Failure, Loading, Working } from "./states";
import { Tip } from "./tip";

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
  return (
    <section class={`panel ${className}`} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {about && <Tip text={about} />}
        {note && <span class="panel-note">{note}</span>}
        <div class="panel-controls">
          {controls}
          {csv && (
            <button type="button" class="quiet" title="Save the numbers as a CSV file" onClick={() => saveCsv(csv(), title)}>
              CSV
            </button>
          )}
          {picture && (
            <button
              type="button"
              class="quiet"
              title="Save the picture as a PNG file"
              onClick={() => body.current && savePng(body.current, title, legend, colors)}
            >
              PNG
            </button>
          )}
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
