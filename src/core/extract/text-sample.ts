const MAX_CHARS = 4096;

/** The first words of a file, for search: pieces of text, parted by blanks, up to a few thousand characters. */
export interface TextSample {
  /** How many bytes of the next piece may matter; 0 when it is full. */
  room(): number;
  add(piece: string): void;
  text(): string;
}

export function textSample(): TextSample {
  const pieces: string[] = [];
  let chars = 0;
  return {
    room: () => (MAX_CHARS - chars) * 3,
    add(piece) {
      const text = piece
        .trim()
        .replace(/\s+/g, " ")
        .slice(0, MAX_CHARS - chars);
      if (text === "") return;
      pieces.push(text);
      chars = Math.min(MAX_CHARS, chars + text.length + 1);
    },
    // A cut may have gone through a surrogate pair.
    text: () => pieces.join(" ").toWellFormed(),
  };
}
