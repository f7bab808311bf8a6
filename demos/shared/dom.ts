// Elements, made and found, in few words.

export const element = (id: string): HTMLElement => document.getElementById(id)!;

type Child = Node | string;

/** `make("td", { class: "number" }, "12")`. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Rows of `<div><dt><dd></div>` for a `<dl>`. */
export function pairs(entries: readonly (readonly [term: string, text: string])[]): HTMLElement[] {
  return entries.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text)));
}

/** A bar that fills `share` of its width. */
export function bar(share: number): HTMLElement {
  const made = make("span", { class: "bar", "aria-hidden": "true" });
  made.style.setProperty("--share", share.toFixed(4));
  return made;
}

/** The next frame; soon, where nothing is painted because the page is not in sight. */
export const nextFrame = (): Promise<unknown> =>
  new Promise((resolve) => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 100);
  });

const SLICE = 25;
const filling = new WeakMap<Element, number>();

/** Fills `parent` a few children a frame, so that a long list holds nothing up. A later call takes over. */
export function fill<T>(parent: Element, items: readonly T[], makeChild: (item: T, index: number) => Element): void {
  const turn = (filling.get(parent) ?? 0) + 1;
  filling.set(parent, turn);
  parent.replaceChildren();
  const run = async (): Promise<void> => {
    for (let next = 0; next < items.length && filling.get(parent) === turn; next += SLICE) {
      parent.append(...items.slice(next, next + SLICE).map((item, i) => makeChild(item, next + i)));
      await nextFrame();
    }
  };
  void run();
}
