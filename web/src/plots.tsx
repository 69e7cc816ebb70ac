/** Small plots of one value a day. */

export interface Point {
  day: string;
  value: number;
}

/** Each of the last days, also those on which nothing happened; at most as many as fit. */
export function everyDay<T extends { day: string }>(rows: T[], value: (row: T) => number, days: number, today: Date): Point[] {
  const known = new Map(rows.map((row) => [row.day, value(row)]));
  const points: Point[] = [];
  for (let back = days - 1; back >= 0; back -= 1) {
    const day = new Date(today.getTime() - back * 86_400_000).toISOString().slice(0, 10);
    points.push({ day, value: known.get(day) ?? 0 });
  }
  return points;
}

interface PlotProps {
  title: string;
  points: Point[];
  told: (value: number) => string;
  second?: boolean;
}

export function DayPlot({ title, points, told, second }: PlotProps) {
  const most = Math.max(...points.map((point) => point.value), 0);
  const sum = points.reduce((all, point) => all + point.value, 0);
  const width = 100 / points.length;
  const first = points[0]?.day ?? "";
  const last = points.at(-1)?.day ?? "";
  return (
    <figure class="plot">
      <figcaption>
        <b>{title}</b>
        <small>{most > 0 ? `most in a day: ${told(most)}` : "nothing yet"}</small>
      </figcaption>
      <svg viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={`${title}: ${told(sum)} from ${first} to ${last}`}>
        <line class="baseline" x1={0} y1={40} x2={100} y2={40} vector-effect="non-scaling-stroke" />
        {points.map((point, number) => {
          const height = most > 0 ? (point.value / most) * 38 : 0;
          return (
            <rect key={point.day} class={`column-bar ${second ? "second" : ""}`} x={number * width + width * 0.14} y={40 - height} width={width * 0.72} height={height}>
              <title>{`${point.day}: ${told(point.value)}`}</title>
            </rect>
          );
        })}
      </svg>
      <p class="ends" aria-hidden="true">
        <span>{first}</span>
        <span>{last}</span>
      </p>
    </figure>
  );
}
