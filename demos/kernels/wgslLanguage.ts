// WGSL for the editor: a tokenizer, line by line, that tells keywords, types, numbers, comments and attributes apart. Enough
// to colour a kernel; what is right and what is wrong the compiler says.

import { StreamLanguage, type StringStream } from "@codemirror/language";

const keywords = new Set(
  (
    "alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let loop " +
    "override requires return struct switch true var while"
  ).split(" "),
);
const types =
  /^(?:bool|[fiu]32|f16|atomic|array|ptr|vec[234][fiuh]?|mat[234]x[234][fh]?|function|private|workgroup|uniform|storage|read|read_write|write)$/;

interface State {
  /** Block comments nest in WGSL. */
  depth: number;
}

function token(stream: StringStream, state: State): string | null {
  if (state.depth > 0 || stream.match("/*")) {
    if (state.depth === 0) state.depth = 1;
    while (state.depth > 0 && !stream.eol())
      if (stream.match("*/")) state.depth--;
      else if (stream.match("/*")) state.depth++;
      else stream.next();
    return "comment";
  }
  if (stream.eatSpace()) return null;
  if (stream.match("//")) {
    stream.skipToEnd();
    return "comment";
  }
  if (stream.match(/^@\w+/)) return "meta";
  if (stream.match(/^(?:0[xX][\da-fA-F]+[iu]?|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[iufh]?)/)) return "number";
  const word = stream.match(/^[A-Za-z_]\w*/) as RegExpMatchArray | null;
  if (word) {
    if (keywords.has(word[0])) return "keyword";
    if (types.test(word[0])) return "typeName";
    return stream.match(/^\s*\(/, false) ? "variableName.function" : "variableName";
  }
  stream.next();
  return "operator";
}

export const wgslLanguage = StreamLanguage.define<State>({
  name: "wgsl",
  startState: () => ({ depth: 0 }),
  token,
  languageData: {
    commentTokens: { line: "//", block: { open: "/*", close: "*/" } },
    closeBrackets: { brackets: ["(", "[", "{"] },
  },
});
