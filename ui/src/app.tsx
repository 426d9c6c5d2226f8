/** The page's frame: where one is, the files at hand, the theme, and a banner while the server is away. */

import { useEffect } from "preact/hooks";
import { probeNow, useConnection } from "./api/connection";
import { useData } from "./api/data";
import { useEventStream } from "./api/events";
import { isHere, saved } from "./api/saved";
import type { Hello } from "./api/types";
import { Boundary } from "./parts/boundary";
import { Name } from "./parts/name";
import { SaveButton, SavedNote } from "./parts/save_page";
import { Empty } from "./parts/states";
import { link, useRoute } from "./router";
import { baseName, plural, shortened, visible } from "./text";
import { type Choice, setChoice, useTheme } from "./theme";
import { CompareView } from "./views/compare";
import { RunView } from "./views/run";
import { RunsView } from "./views/runs";
import { SourceView } from "./views/source";
import { WeightView } from "./views/weight";

const THEMES: Record<Choice, [string, Choice]> = { auto: ["◐ Auto", "light"], light: ["☀ Light", "dark"], dark: ["☾ Dark", "auto"] };

/** Say in the browser's title where one is. */
export function useTitle(text: string): void {
  useEffect(() => {
    document.title = text ? `${shortened(visible(text), 60)} · Weightsmith` : "Weightsmith";
  }, [text]);
}

function View({ path }: { path: string[] }) {
  const [kind, first, second, third] = path;
  if (saved && !isHere(path)) {
    return (
      <Empty>
        <h1>This is not in the file</h1>
        <p>
          It was saved to show one view: <a href={saved.view}>{shortened(visible(saved.title), 80)}</a>.
        </p>
      </Empty>
    );
  }
  if (kind === undefined) return <RunsView />;
  if (kind === "run" && first && second && path.length === 3) return <RunView key={`${first}/${second}`} store={first} id={second} />;
  if (kind === "source" && first && second === "weight" && third && path.length === 4) {
    return <WeightView key={`${first}/${third}`} source={first} index={third} />;
  }
  if (kind === "source" && first && path.length === 2) return <SourceView key={first} source={first} />;
  if (kind === "compare" && path.length === 1) return <CompareView />;
  return (
    <Empty>
      <h1>There is no such page</h1>
      <p>
        The address <bdi>{shortened(visible(path.join("/")), 80)}</bdi> leads nowhere. <a href={link([])}>All runs and files</a>
      </p>
    </Empty>
  );
}

export function App() {
  useEventStream();
  const { path } = useRoute();
  const { lost } = useConnection();
  const hello = useData<Hello>("api/hello");
  const { choice } = useTheme();
  const [themeText, nextTheme] = THEMES[choice];
  const files = hello.data?.files ?? [];
  const top = path.join("/");
  useEffect(() => window.scrollTo(0, 0), [top]);
  return (
    <>
      <header class="top">
        <a class="skip" href={location.hash || "#/"} onClick={(event) => (event.preventDefault(), document.querySelector("main")?.focus())}>
          Skip to the content
        </a>
        <a class="brand" href={saved?.view ?? link([])}>
          <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
            <rect x="1" y="1" width="9" height="9" rx="2" fill="#56b4e9" />
            <rect x="11.5" y="1" width="9" height="9" rx="2" fill="#0072b2" />
            <rect x="22" y="1" width="9" height="9" rx="2" fill="#f0a35e" />
            <rect x="1" y="11.5" width="9" height="9" rx="2" fill="#0072b2" />
            <rect x="11.5" y="11.5" width="9" height="9" rx="2" fill="currentColor" opacity=".18" />
            <rect x="22" y="11.5" width="9" height="9" rx="2" fill="#d55e00" />
            <rect x="1" y="22" width="9" height="9" rx="2" fill="#f0a35e" />
            <rect x="11.5" y="22" width="9" height="9" rx="2" fill="#d55e00" />
            <rect x="22" y="22" width="9" height="9" rx="2" fill="#56b4e9" />
          </svg>
          Weightsmith
        </a>
        {saved ? (
          <SavedNote saved={saved} />
        ) : (
          <nav aria-label="Runs and files">
            {(hello.data?.stores.length ?? 0) > 0 && (
              <a class="whole" href={link([])} aria-current={path.length === 0 ? "page" : undefined}>
                Runs
              </a>
            )}
            {files.slice(0, 4).map((file) => (
              <a key={file.id} href={link(["source", file.source])} title={visible(file.label)} aria-current={path[1] === file.source ? "page" : undefined}>
                <Name text={baseName(file.label)} length={32} />
              </a>
            ))}
            {files.length > 4 && <a class="whole" href={link([])}>{plural(files.length - 4, "more file")}</a>}
          </nav>
        )}
        {!saved && <SaveButton />}
        <button type="button" class="quiet theme" title="Colors: the system's choice, light or dark" onClick={() => setChoice(nextTheme)}>
          {themeText}
        </button>
      </header>
      {lost && (
        <div class="banner" role="alert">
          The server does not answer. What you see is what it said last; the page goes on by itself when it is back.
          <button type="button" onClick={probeNow}>
            Try now
          </button>
        </div>
      )}
      <main tabIndex={-1}>
        <Boundary key={top}>
          <View path={path} />
        </Boundary>
      </main>
      <footer class="foot">
        Weightsmith {hello.data?.version ?? ""}
        {hello.data?.stores.map((store) => (
          <span key={store.id}>
            {" · "}
            <Name text={store.label} length={90} />
          </span>
        ))}
      </footer>
    </>
  );
}
