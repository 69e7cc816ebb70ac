/** Server-sent events, as far as OpenAI's API uses them: the data of each event. */

/** Takes pieces of a stream, cut anywhere; gives the data of the events that are whole. */
export class EventReader {
  private rest = "";

  read(piece: string): string[] {
    const blocks = (this.rest + piece).replace(/\r\n?/g, "\n").split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map(dataOf).filter((data) => data !== "");
  }
}

function dataOf(block: string): string {
  const lines = block.split("\n").filter((line) => line.startsWith("data:"));
  return lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
}
