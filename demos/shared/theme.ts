// Light or dark: the system's choice until the visitor presses the toggle, then theirs, kept for next time. Pages set
// `data-theme` before the first paint with one line in their head; this file wires the toggle and tells listeners.

const KEY = "neurite-theme";
const listeners = new Set<() => void>();
const systemDark = matchMedia("(prefers-color-scheme: dark)");

export type Theme = "light" | "dark";

/** The theme on screen. */
export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  if (chosen === "light" || chosen === "dark") return chosen;
  return systemDark.matches ? "dark" : "light";
}

/** Calls `listener` whenever the colours on screen change, for what is painted on a canvas. */
export function onThemeChange(listener: () => void): void {
  listeners.add(listener);
}

/** The colour a custom property stands for now, as `rgb(…)`. */
export function cssColor(property: `--${string}`): string {
  probe.style.color = `var(${property})`;
  return getComputedStyle(probe).color;
}

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

const toggle = document.querySelector<HTMLButtonElement>(".theme-toggle");

function show(): void {
  const next = currentTheme() === "dark" ? "light" : "dark";
  toggle?.setAttribute("aria-label", `Switch to the ${next} theme`);
  for (const listener of listeners) listener();
}

toggle?.addEventListener("click", () => {
  const next: Theme = currentTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset["theme"] = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Storage is blocked: the choice lasts as long as the page.
  }
  show();
});
systemDark.addEventListener("change", show);
show();
