/** The tags of a run: in the list they filter it, on the run's page they lead to the list of what has them. */

import { isHere } from "../api/saved";
import { Name } from "../parts/name";
import { link } from "../router";
import { visible } from "../text";
import { asksFor, tagFilter, toggled } from "./filter";

const SHOWN = 2; // tags of a run for which a row has room

export function TagButtons({ tags, filter, onFilter }: { tags: string[]; filter: string; onFilter: (filter: string) => void }) {
  const [first, more] = [tags.slice(0, SHOWN), tags.slice(SHOWN)];
  return (
    <span class="tags">
      {first.map((tag) => {
        const on = asksFor(filter, tag);
        return (
          <button key={tag} type="button" class="tag" aria-pressed={on} title={on ? "Show runs without this tag again" : `Show only runs tagged ${visible(tag)}`} onClick={() => onFilter(toggled(filter, tag))}>
            <Name text={tag} length={18} />
          </button>
        );
      })}
      {more.length > 0 && (
        <span class="muted" title={more.map(visible).join(", ")}>
          +{more.length}
        </span>
      )}
    </span>
  );
}

export function TagLinks({ tags }: { tags: string[] }) {
  if (!tags.length) return null;
  return (
    <span class="tags">
      {tags.map((tag) =>
        isHere([]) ? (
          <a key={tag} class="tag" href={link([], { filter: tagFilter(tag) })} title={`All runs tagged ${visible(tag)}`}>
            <Name text={tag} length={40} />
          </a>
        ) : (
          <span key={tag} class="tag">
            <Name text={tag} length={40} />
          </span>
        ),
      )}
    </span>
  );
}
