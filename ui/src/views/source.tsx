/** A file or a snapshot: what it is, and its weights. */

import { useChanges, useReplaced } from "../api/changes";
import { address, isGone } from "../api/client";
import { useData } from "../api/data";
import { isHere } from "../api/saved";
import type { SourceDetail } from "../api/types";
import { useTitle } from "../app";
import { Name } from "../parts/name";
import { ReplacedNote } from "../parts/replaced";
import { Empty } from "../parts/states";
import { WeightsPanel } from "../panels/weights";
import { link } from "../router";
import { baseName, plural, shortened, visible } from "../text";

export function SourceView({ source }: { source: string }) {
  const detail = useData<SourceDetail>(address(["sources", source]), useChanges(source));
  const replaced = useReplaced(detail.data?.content);
  useTitle(detail.data?.label ?? "Weights");
  if (detail.error && (!detail.data || isGone(detail.error))) {
    return (
      <Empty>
        <h1>These weights cannot be shown</h1>
        <p role="alert">{visible(detail.error.message)}</p>
        <p>
          <a href={link([])}>All runs and files</a>
        </p>
      </Empty>
    );
  }
  const metadata = Object.entries(detail.data?.metadata ?? {});
  return (
    <>
      <div class="heading">
        <div class="heading-line">
          <h1>{detail.data ? <Name text={baseName(detail.data.label)} length={90} /> : "Weights"}</h1>
          {detail.data && (
            <span class="muted">
              {detail.data.format} · <Name text={detail.data.label} length={100} />
            </span>
          )}
          <RunLink source={source} />
        </div>
        <ReplacedNote when={replaced} />
        {metadata.length > 0 && (
          <details class="metadata">
            <summary>{plural(metadata.length, "entry", "entries")} of metadata in the file</summary>
            <table class="pairs">
              <tbody>
                {metadata.map(([key, value]) => (
                  <tr key={key}>
                    <th scope="row">{shortened(visible(key), 60)}</th>
                    <td>{shortened(visible(String(value)), 600)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </details>
        )}
      </div>
      <WeightsPanel source={source} />
    </>
  );
}

/** The run that a snapshot belongs to: its id is `STORE~RUN~STEP`. */
export function RunLink({ source }: { source: string }) {
  const [store, run] = source.split("~");
  return run && isHere(["run", store, run]) ? <a href={link(["run", store, run], { tab: "weights" })}>The run it belongs to</a> : null;
}
