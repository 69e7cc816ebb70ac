/** Figures of the service, read again every few seconds. */
import { useEffect, useState } from "preact/hooks";
import type { Overview } from "./admin-types";
import { call, Failure } from "./api";
import { dollars, milliseconds, Trouble } from "./common";
import { DayPlot, everyDay } from "./plots";

const DAYS = 30;
const EVERY_MS = 5000;

export function OverviewPart() {
  const [overview, setOverview] = useState<Overview | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const look = async () => {
      try {
        const found = await call<Overview>("GET", `/v1/admin/overview?days=${DAYS}`);
        if (!gone) (setOverview(found), setFailure(null));
      } catch (error) {
        if (!gone && error instanceof Failure) setFailure(error);
      }
      if (!gone) timer = setTimeout(look, EVERY_MS);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, []);
  return (
    <>
      {failure && <Trouble failure={failure} />}
      {overview && <Figures overview={overview} />}
      {!overview && !failure && <p class="quiet">Looking …</p>}
    </>
  );
}

export function Figures({ overview }: { overview: Overview }) {
  const { latency_ms, spend, counts_dollars, days } = overview;
  const now = new Date();
  const reactions = overview.likes + overview.refuses;
  const plots = [
    { title: "Turns", value: (day: Overview["days"][number]) => day.turns, told: whole },
    { title: "Degraded turns", value: (day: Overview["days"][number]) => day.degraded, told: whole, second: true },
    { title: "Likes", value: (day: Overview["days"][number]) => day.likes, told: whole },
    counts_dollars
      ? { title: "Spend", value: (day: Overview["days"][number]) => day.spend.usd, told: dollars }
      : { title: "Tokens", value: (day: Overview["days"][number]) => day.spend.tokens, told: whole },
  ];
  return (
    <>
      <dl class="tiles">
        <Tile name="Items" value={whole(overview.items)} />
        <Tile name="Conversations" value={whole(overview.sessions)} />
        <Tile name="Turns" value={whole(overview.turns)} more={`in ${DAYS} days`} />
        <Tile name="Median turn" value={latency_ms ? milliseconds(latency_ms.p50) : "–"} more={latency_ms ? `p99 ${milliseconds(latency_ms.p99)}` : ""} />
        <Tile name="Degraded" value={`${(100 * overview.degraded_share).toFixed(overview.degraded_share < 0.1 ? 1 : 0)} %`} more="of turns" />
        <Tile name="Spend" value={counts_dollars ? dollars(spend.usd) : "–"} more={`${whole(spend.tokens)} tokens${counts_dollars ? "" : "; set llm.input_usd and llm.output_usd to count dollars"}`} />
        <Tile name="Likes" value={whole(overview.likes)} more={reactions ? `${Math.round((100 * overview.likes) / reactions)} % of verdicts` : ""} />
        <Tile name="Not for me" value={whole(overview.refuses)} />
      </dl>
      <div class="plots">
        {plots.map(({ title, value, told, second }) => (
          <DayPlot key={title} title={title} points={everyDay(days, value, DAYS, now)} told={told} second={second ?? false} />
        ))}
      </div>
    </>
  );
}

function Tile({ name, value, more }: { name: string; value: string; more?: string }) {
  return (
    <div class="tile">
      <dt>{name}</dt>
      <dd>
        {value}
        {more && <small>{more}</small>}
      </dd>
    </div>
  );
}

function whole(number: number): string {
  return Math.round(number).toLocaleString("en");
}
