// The editor for a kernel's WGSL: CodeMirror in the site's colours, with the compiler's messages at their lines.

import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Complaint } from "./protocol.ts";
import { wgslLanguage } from "./wgslLanguage.ts";

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)" },
  { tag: tags.typeName, color: "var(--code-type)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
  { tag: tags.meta, color: "var(--code-meta)" },
  { tag: tags.function(tags.variableName), color: "var(--code-function)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "var(--tiny)" },
  "&.cm-focused": { outline: "3px solid var(--focus)", outlineOffset: "-3px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", maxHeight: "32rem" },
  ".cm-content": { caretColor: "var(--ink)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--muted)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": {
    backgroundColor: "color-mix(in srgb, var(--accent-wash) 60%, transparent)",
  },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-wash) !important" },
  ".cm-tooltip": { color: "var(--ink)", backgroundColor: "var(--surface)", border: "1px solid var(--line-strong)" },
});

export class Editor {
  private readonly view: EditorView;

  /** `onRun` is called for Ctrl+Enter, `onChange` when the text was changed by hand. */
  constructor(parent: HTMLElement, onRun: () => void, onChange: () => void) {
    const run = { key: "Mod-Enter", run: () => (onRun(), true) };
    this.view = new EditorView({
      parent,
      state: EditorState.create({
        extensions: [
          lineNumbers(),
          history(),
          drawSelection(),
          bracketMatching(),
          highlightActiveLine(),
          wgslLanguage,
          syntaxHighlighting(colours),
          look,
          keymap.of([run, ...defaultKeymap, ...historyKeymap, indentWithTab]),
          EditorView.contentAttributes.of({ "aria-label": "WGSL of the kernel", spellcheck: "false" }),
          EditorView.updateListener.of(({ docChanged }) => {
            if (docChanged) onChange();
          }),
        ],
      }),
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  set text(text: string) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text }, scrollIntoView: true });
    this.complain([]);
  }

  /** Shows the compiler's messages and goes to the first error. */
  complain(complaints: readonly Complaint[]): void {
    const { doc } = this.view.state;
    const diagnostics = complaints.map(({ severity, line, column, length, text }): Diagnostic => {
      const { from, to } = doc.line(Math.min(Math.max(line, 1), doc.lines));
      const start = Math.min(from + Math.max(column - 1, 0), to);
      return {
        severity,
        message: text,
        from: start,
        to: Math.min(Math.max(start + length, start + 1), Math.max(to, start)),
      };
    });
    this.view.dispatch(setDiagnostics(this.view.state, diagnostics));
    const first = diagnostics.find(({ severity }) => severity === "error");
    if (first) this.view.dispatch({ selection: { anchor: first.from }, scrollIntoView: true });
  }
}
