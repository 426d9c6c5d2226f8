/** A view as a file to send: the button that makes one, and in such a file where it comes from. */

import { useRef, useState } from "preact/hooks";
import { address, ApiError, getFile } from "../api/client";
import type { Saved } from "../api/saved";
import { place } from "../router";
import { download } from "../save";
import { moment, shortened, visible } from "../text";

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
        {saving ? "Saving… stop" : "Save page"}
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

export function SavedNote({ saved }: { saved: Saved }) {
  const bounds = saved.left_out.length ? ` Left out, as the file was bounded to ${saved.megabytes} MB: ${saved.left_out.join(", ")}.` : "";
  return (
    <p class="saved-note" title={visible(`This file holds one view with its data and needs no server.${bounds}`)}>
      <bdi>{shortened(visible(saved.title), 70)}</bdi>, saved on <time dateTime={saved.saved}>{moment(saved.saved)}</time>
      {bounds && " · not everything had room"}
    </p>
  );
}
