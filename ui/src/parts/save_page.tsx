/** A view as a file to send: the button that makes one, and in such a file where it comes from. */

import { useEffect, useRef, useState } from "preact/hooks";
import { address, ApiError, getFile } from "../api/client";
import { isHere, onMissed, type Saved } from "../api/saved";
import { parse, place } from "../router";
import { download } from "../save";
import { moment, shortened, visible } from "../text";
import { Tip } from "./tip";

export function SaveButton() {
  const [error, setError] = useState("");
  const [saving, setSaving] = useState(false);
  const flight = useRef<AbortController | null>(null);
  const save = async () => {
    const mine = (flight.current = new AbortController());
    setError("");
    setSaving(true);
    try {
      const { file, name } = await getFile(address(["export"], { view: place() }), mine.signal);
      download(file, name);
    } catch (reason) {
      if (!mine.signal.aborted) setError(reason instanceof ApiError ? reason.message : String(reason));
    }
    setSaving(false);
  };
  return (
    <div class="save-page">
      <button
        type="button"
        class="quiet"
        title={saving ? "Stop making the file" : "Save this view as one HTML file that opens anywhere"}
        onClick={() => (saving ? flight.current?.abort() : void save())}
      >
        {saving && <span class="spinner" aria-hidden="true" />}
        {saving ? "Stop saving" : "Save page"}
      </button>
      {error && (
        <div class="save-error" role="alert">
          ⚠ {visible(error)}
          <button type="button" aria-label="Close this message" onClick={() => setError("")}>
            ×
          </button>
        </div>
      )}
    </div>
  );
}

const SHOWN_MS = 5000;

/** Whether a link has just been followed that leads out of the file; then the view stays, and this says why. */
function useMissed(): boolean {
  const [missed, set] = useState(0);
  useEffect(() => {
    const follow = (event: MouseEvent) => {
      const hash = (event.target as Element).closest("a[href^='#/']")?.getAttribute("href");
      const leaves = typeof hash === "string" && !isHere(parse(hash).path);
      if (leaves) event.preventDefault();
      set((count) => (leaves ? count + 1 : 0));
    };
    const forget = onMissed(() => set((count) => count + 1));
    document.addEventListener("click", follow, true);
    return () => {
      forget();
      document.removeEventListener("click", follow, true);
    };
  }, []);
  useEffect(() => {
    const timer = setTimeout(() => set(0), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [missed]);
  return missed > 0;
}

export function SavedNote({ saved }: { saved: Saved }) {
  const missed = useMissed();
  const bounds = saved.left_out.length ? ` Not all had room in ${saved.megabytes} MB; some or all are missing of: ${saved.left_out.join(", ")}.` : "";
  return (
    <div class="saved-note">
      <p>
        <bdi>{shortened(visible(saved.title), 70)}</bdi>, saved on <time dateTime={saved.saved}>{moment(saved.saved)}</time>
        {bounds && " · in part"}
      </p>
      <Tip text={visible(`This file holds one view with its data and needs no server.${bounds}`)} />
      <div class="missed" role="status">
        {missed && "That is not in this file: it holds this view alone."}
      </div>
    </div>
  );
}
