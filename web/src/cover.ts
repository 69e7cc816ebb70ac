/**
 * Cover art from a title: always the same for the same title, of shapes and type only, so nothing is fetched.
 * The drawing is plain data; `Cover` renders it.
 */

export const WIDTH = 200;
export const HEIGHT = 300;
const PANEL = 104;
const MARGIN = 14;
const LINES = 4;

export interface Shape {
  tag: "circle" | "rect" | "path" | "line";
  attributes: Record<string, string | number>;
}

export interface CoverArt {
  paper: string;
  ink: string;
  /** The drawing, in a box of WIDTH x `artHeight` at `artTop`. */
  artTop: number;
  artHeight: number;
  ground: string;
  shapes: Shape[];
  /** Lines of the title with the baseline of each. */
  lines: { text: string; y: number }[];
  fontSize: number;
}

interface Palette {
  paper: string;
  ink: string;
  ground: string;
  tones: [string, string, string];
}

const PALETTES: Palette[] = [
  { paper: "#f4e9d8", ink: "#23223a", ground: "#e4572e", tones: ["#23223a", "#f3a712", "#f4e9d8"] },
  { paper: "#12263a", ink: "#f6ecd9", ground: "#1d3f5e", tones: ["#f4b942", "#e8743b", "#97d8c4"] },
  { paper: "#efe6dd", ink: "#1f3a33", ground: "#2f6f5e", tones: ["#f2c14e", "#efe6dd", "#f78154"] },
  { paper: "#2b1b3d", ink: "#fbe8ef", ground: "#5b2a6f", tones: ["#ff7b9c", "#ffc15e", "#7fd1e0"] },
  { paper: "#f7f3e8", ink: "#7a1f2b", ground: "#b23a48", tones: ["#fcb9b2", "#461220", "#fed0a0"] },
  { paper: "#0f2e2b", ink: "#eaf4e4", ground: "#14504a", tones: ["#e9c46a", "#f4a261", "#e76f51"] },
  { paper: "#e8eef2", ink: "#16324f", ground: "#3b7ea1", tones: ["#16324f", "#f6d55c", "#e8eef2"] },
  { paper: "#1c1c24", ink: "#f1ede4", ground: "#33323f", tones: ["#e63946", "#f1ede4", "#a8b5c8"] },
  { paper: "#f9e7c9", ink: "#3a2618", ground: "#d98e32", tones: ["#a63c06", "#fff4dc", "#5c3d22"] },
  { paper: "#e9e4f4", ink: "#2e2a5a", ground: "#6a5fb5", tones: ["#f7b2c4", "#2e2a5a", "#ffe2a8"] },
  { paper: "#172a1e", ink: "#eef1d9", ground: "#3d5a2f", tones: ["#d9e27a", "#f0a35e", "#88b06a"] },
  { paper: "#f3efe9", ink: "#222222", ground: "#d6cfc4", tones: ["#222222", "#d1495b", "#edae49"] },
];

type Random = () => number;
type Composition = (random: Random, height: number, tones: Palette["tones"]) => Shape[];

export function coverOf(title: string): CoverArt {
  const random = randomOf(title);
  const palette = PALETTES[Math.floor(random() * PALETTES.length)]!;
  const draw = COMPOSITIONS[Math.floor(random() * COMPOSITIONS.length)]!;
  const below = random() < 0.72;
  const tones = turned(palette.tones, Math.floor(random() * 3));
  const artHeight = HEIGHT - PANEL;
  const { lines, fontSize } = typeset(title);
  const step = fontSize * 1.02;
  const top = below ? artHeight + 16 + fontSize * 0.78 : 16 + fontSize * 0.78;
  return {
    paper: palette.paper,
    ink: palette.ink,
    artTop: below ? 0 : PANEL,
    artHeight,
    ground: palette.ground,
    shapes: draw(random, artHeight, tones),
    lines: lines.map((text, number) => ({ text, y: rounded(top + number * step) })),
    fontSize,
  };
}

/** The largest type in which a title fits; a longer one is cut. */
export function typeset(title: string): { lines: string[]; fontSize: number } {
  const words = title.replace(/\s+/g, " ").trim().split(" ");
  const room = WIDTH - 2 * MARGIN;
  for (const fontSize of [34, 30, 26, 23, 20, 18]) {
    const lines = wrapped(words, room / fontSize);
    const most = Math.min(LINES, Math.floor((PANEL - 22) / (fontSize * 1.02)));
    if (lines.length <= most && lines.every((line) => widthOf(line) <= room / fontSize)) return { lines, fontSize };
  }
  const fontSize = 18;
  const lines = wrapped(words, room / fontSize).map((line) => shortened(line, room / fontSize));
  if (lines.length > LINES) {
    lines.length = LINES;
    lines[LINES - 1] = shortened(`${lines[LINES - 1]} …`, room / fontSize);
  }
  return { lines, fontSize };
}

/** Width in ems, roughly, of the condensed serif that covers are set in. */
export function widthOf(line: string): number {
  let width = 0;
  for (const character of line) {
    if (/[ilj.,:;'’|!\s]/.test(character)) width += 0.25;
    else if (/[mwMW—…]/.test(character)) width += 0.72;
    else if (/[A-Z0-9]/.test(character)) width += 0.53;
    else if (character.codePointAt(0)! > 0x2e7f) width += 1.05;
    else width += 0.44;
  }
  return width;
}

function wrapped(words: string[], room: number): string[] {
  const lines: string[] = [];
  let open = "";
  for (const word of words) {
    const longer = open ? `${open} ${word}` : word;
    if (open && widthOf(longer) > room) {
      lines.push(open);
      open = word;
    } else {
      open = longer;
    }
  }
  return open ? [...lines, open] : lines;
}

function shortened(line: string, room: number): string {
  if (widthOf(line) <= room) return line;
  const characters = Array.from(line.replace(/ ?…$/, ""));
  while (characters.length && widthOf(`${characters.join("")}…`) > room) characters.pop();
  return `${characters.join("").trimEnd()}…`;
}

const COMPOSITIONS: Composition[] = [
  // a sun over hills
  (random, height, [first, second, third]) => {
    const x = 50 + random() * 100;
    const horizon = height * (0.58 + random() * 0.12);
    return [
      circle(x, horizon - 30 - random() * 40, 34 + random() * 22, first),
      hills(random, horizon, height, second, 1),
      hills(random, horizon + 30, height, third, 1),
    ];
  },
  // rings
  (random, height, tones) => {
    const x = random() < 0.5 ? 40 + random() * 30 : 130 + random() * 30;
    const y = height * (0.35 + random() * 0.3);
    const step = 15 + random() * 5;
    return [8, 7, 6, 5, 4, 3, 2, 1].map((n) => circle(x, y, n * step, tones[n % 3]!, n % 2 ? 1 : 0.82));
  },
  // quarter circles on a grid
  (random, height, tones) => {
    const shapes: Shape[] = [];
    const side = 50;
    for (let y = 0; y < height; y += side) {
      for (let x = 0; x < WIDTH; x += side) {
        if (random() < 0.18) continue;
        shapes.push(quarter(x, y, side, Math.floor(random() * 4), tones[Math.floor(random() * 3)]!));
      }
    }
    return shapes;
  },
  // rays from below
  (random, height, [first, second, third]) => {
    const x = 60 + random() * 80;
    const count = 9 + Math.floor(random() * 5);
    const rays: Shape[] = [];
    for (let n = 0; n < count; n += 1) {
      const from = Math.PI + (n / count) * Math.PI;
      const to = from + Math.PI / count / 2;
      rays.push(path(`M${at(x, height, from, 0)}L${at(x, height, from, 330)}L${at(x, height, to, 330)}Z`, first, 0.9));
    }
    return [...rays, circle(x, height, 62 + random() * 16, second), circle(x, height, 34, third)];
  },
  // waves
  (random, height, tones) => {
    const shapes: Shape[] = [circle(40 + random() * 120, 46 + random() * 24, 22 + random() * 14, tones[0])];
    for (let n = 0; n < 5; n += 1) {
      shapes.push(hills(random, height * 0.4 + n * height * 0.13, height, tones[(n + 1) % 3]!, 2, 9, 0.55 + n * 0.1));
    }
    return shapes;
  },
  // peaks
  (random, height, [first, second, third]) => {
    const shapes: Shape[] = [circle(30 + random() * 140, 42 + random() * 20, 18 + random() * 10, first)];
    for (let n = 0; n < 4; n += 1) {
      const x = 20 + n * 50 + random() * 30;
      const y = height * (0.28 + random() * 0.3);
      const half = 60 + random() * 35;
      shapes.push(path(`M${f(x - half)} ${height}L${f(x)} ${f(y)}L${f(x + half)} ${height}Z`, n % 2 ? second : third, 0.93));
      shapes.push(path(`M${f(x)} ${f(y)}L${f(x + half)} ${height}L${f(x + half * 0.25)} ${height}Z`, "#000", 0.14));
    }
    return shapes;
  },
  // circles that overlap
  (random, height, tones) => {
    const shapes: Shape[] = [];
    for (let n = 0; n < 5; n += 1) {
      shapes.push(circle(20 + random() * 160, 20 + random() * (height - 40), 28 + random() * 48, tones[n % 3]!, 0.78));
    }
    return shapes;
  },
  // stripes that a disc crosses
  (random, height, [first, second, third]) => {
    const shapes: Shape[] = [];
    const count = 7 + Math.floor(random() * 4);
    const tilt = -30 + random() * 60;
    for (let n = -2; n < count + 2; n += 1) {
      const x = (n * WIDTH) / count;
      const width = WIDTH / count / 2;
      shapes.push(path(`M${f(x)} 0L${f(x + width)} 0L${f(x + width + tilt)} ${height}L${f(x + tilt)} ${height}Z`, first, 0.9));
    }
    const y = height * (0.35 + random() * 0.3);
    return [...shapes, circle(100, y, 58, second), circle(100 + (random() - 0.5) * 40, y - 6, 44, third)];
  },
  // a doorway of arches
  (random, height, tones) => {
    const x = 100 + (random() - 0.5) * 40;
    return [4, 3, 2, 1].map((n) => {
      const half = n * 23;
      const top = height * 0.16 + (4 - n) * 22;
      const d = `M${f(x - half)} ${height}V${f(top + half)}A${half} ${half} 0 0 1 ${f(x + half)} ${f(top + half)}V${height}Z`;
      return path(d, tones[n % 3]!, 1);
    });
  },
  // a window at night: blocks and lights
  (random, height, [first, second, third]) => {
    const shapes: Shape[] = [circle(40 + random() * 120, 48, 24, second)];
    for (let x = 0; x < WIDTH; x += 34) {
      const tall = 50 + random() * (height * 0.55);
      shapes.push(rect(x + 1, height - tall, 32, tall, x % 68 ? first : third, 0.95));
      for (let y = height - tall + 10; y < height - 8; y += 16) {
        if (random() < 0.5) shapes.push(rect(x + 7 + (random() < 0.5 ? 0 : 11), y, 7, 7, second, 0.95));
      }
    }
    return shapes;
  },
];

function hills(random: Random, y: number, height: number, fill: string, waves: number, swing = 22, opacity = 1): Shape {
  const shift = random() * Math.PI * 2;
  const points: string[] = [];
  for (let x = 0; x <= WIDTH; x += 10) {
    points.push(`${x} ${f(y + Math.sin(shift + (x / WIDTH) * waves * Math.PI * 2) * swing)}`);
  }
  return path(`M0 ${height}L${points.join("L")}L${WIDTH} ${height}Z`, fill, opacity);
}

function quarter(x: number, y: number, side: number, corner: number, fill: string): Shape {
  const [cx, cy] = [
    [x, y],
    [x + side, y],
    [x + side, y + side],
    [x, y + side],
  ][corner] as [number, number];
  const [ax, ay] = [cx === x ? x + side : x, cy];
  const [bx, by] = [cx, cy === y ? y + side : y];
  const sweep = (ax - cx) * (by - cy) > 0 ? 1 : 0;
  return path(`M${cx} ${cy}L${ax} ${ay}A${side} ${side} 0 0 ${sweep} ${bx} ${by}Z`, fill, 1);
}

function circle(cx: number, cy: number, r: number, fill: string, opacity = 1): Shape {
  return { tag: "circle", attributes: { cx: rounded(cx), cy: rounded(cy), r: rounded(r), fill, opacity } };
}

function rect(x: number, y: number, width: number, height: number, fill: string, opacity = 1): Shape {
  return { tag: "rect", attributes: { x: rounded(x), y: rounded(y), width, height: rounded(height), fill, opacity } };
}

function path(d: string, fill: string, opacity: number): Shape {
  return { tag: "path", attributes: { d, fill, opacity } };
}

function at(x: number, y: number, angle: number, radius: number): string {
  return `${f(x + Math.cos(angle) * radius)} ${f(y + Math.sin(angle) * radius)}`;
}

function turned<T>(three: [T, T, T], by: number): [T, T, T] {
  const [a, b, c] = three;
  return by === 0 ? [a, b, c] : by === 1 ? [b, c, a] : [c, a, b];
}

/** Numbers from 0 to 1 that a text decides: FNV-1a into mulberry32. */
function randomOf(text: string): Random {
  let state = 0x811c9dc5;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

function rounded(number: number): number {
  return Math.round(number * 10) / 10;
}

function f(number: number): string {
  return String(rounded(number));
}
