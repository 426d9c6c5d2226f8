/** The filter of the list: words that all must occur, `tag:word` for what has exactly that tag. */

import type { RunRow } from "../api/types";
import { verdict } from "./facts";

const TAG = "tag:";

function wordsOf(filter: string): string[] {
  return filter.split(/\s+/).filter(Boolean);
}

function isOf(tag: string, word: string): boolean {
  return word.toLowerCase() === `${TAG}${tag}`.toLowerCase();
}

export function matches(run: RunRow, filter: string, state: string): boolean {
  if (state === "other" ? ["running", "completed"].includes(run.status) : state && run.status !== state) return false;
  const text = [run.name, run.id, run.status, run.model, run.optimizer, verdict(run), ...run.tags, run.note].join(" ").toLowerCase();
  return wordsOf(filter).every((word) => (word.toLowerCase().startsWith(TAG) && word.length > TAG.length ? run.tags.some((tag) => isOf(tag, word)) : text.includes(word.toLowerCase())));
}

/** Whether the filter asks for a tag. */
export function asksFor(filter: string, tag: string): boolean {
  return wordsOf(filter).some((word) => isOf(tag, word));
}

/** The filter that asks for a tag as well, or no longer. */
export function toggled(filter: string, tag: string): string {
  const words = wordsOf(filter);
  return (asksFor(filter, tag) ? words.filter((word) => !isOf(tag, word)) : [...words, `${TAG}${tag}`]).join(" ");
}

/** The filter that asks for a tag alone. */
export function tagFilter(tag: string): string {
  return `${TAG}${tag}`;
}
