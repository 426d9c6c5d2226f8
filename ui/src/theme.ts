/** Light and dark: the system's choice unless the switch says otherwise. Canvases take their colors from here. */

import { useEffect, useState } from "preact/hooks";

export type Choice = "auto" | "light" | "dark";

export interface Colors {
  name: "light" | "dark";
  background: string;
  panel: string;
  text: string;
  muted: string;
  grid: string;
  accent: string;
  second: string;
  good: string;
  alarm: string;
  palette: string[];
}

// The same colors as the pictures that `weightsmith plot` draws; the palette is Okabe and Ito's.
const LIGHT: Colors = {
  name: "light",
  background: "#f5f6f8",
  panel: "#ffffff",
  text: "#1b1d22",
  muted: "#5d6470",
  grid: "#e4e7eb",
  accent: "#0072b2",
  second: "#d55e00",
  good: "#00795a",
  alarm: "#c2187e",
  palette: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00", "#000000"],
};
const DARK: Colors = {
  name: "dark",
  background: "#111317",
  panel: "#191c22",
  text: "#eceef1",
  muted: "#9ba3af",
  grid: "#2b2f38",
  accent: "#56b4e9",
  second: "#f08a3c",
  good: "#2fc79b",
  alarm: "#ff5fb8",
  palette: ["#56b4e9", "#f08a3c", "#2fc79b", "#de9cc2", "#f0c75e", "#8fa8ff", "#d8d24a", "#ffffff"],
};

const KEY = "weightsmith-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();
let choice: Choice = stored();

function stored(): Choice {
  try {
    const found = localStorage.getItem(KEY);
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto"; // storage may be forbidden, in a frame for example
  }
}

export function colors(): Colors {
  const dark = choice === "auto" ? system.matches : choice === "dark";
  return dark ? DARK : LIGHT;
}

function apply(): void {
  document.documentElement.dataset.theme = colors().name;
  for (const listener of [...listeners]) listener();
}

system.addEventListener("change", apply);
apply();

export function setChoice(next: Choice): void {
  choice = next;
  try {
    if (next === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // then it holds until the page is closed
  }
  apply();
}

export function useTheme(): { choice: Choice; colors: Colors } {
  const [theme, set] = useState({ choice, colors: colors() });
  useEffect(() => {
    const listener = () => set({ choice, colors: colors() });
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }, []);
  return theme;
}
