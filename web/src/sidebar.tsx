/** Past conversations, and the way to other pages. */
import { Icon, IconButton } from "./common";
import type { SessionLine } from "./types";

interface Props {
  /** null where the service keeps none. */
  sessions: SessionLine[] | null;
  current: string | null;
  /** Whether the pages for the owner and for programs are named. */
  owner: boolean;
  onNew: () => void;
  onOpen: (id: string) => void;
  onDelete: (id: string) => void;
}

export function Sidebar({ sessions, current, owner, onNew, onOpen, onDelete }: Props) {
  const kept = (sessions ?? []).filter((session) => session.turns > 0);
  return (
    <div class="side">
      <a class="brand" href="/">
        rarec
      </a>
      <button type="button" class="button wide" onClick={onNew}>
        <Icon name="plus" /> New conversation
      </button>
      <nav aria-label="History" class="history">
        <h2>History</h2>
        {kept.length === 0 && (
          <p class="quiet">{sessions === null ? "Conversations are not kept by this service." : "Conversations appear here."}</p>
        )}
        <ul>
          {kept.map((session) => (
            <li key={session.id} class={session.id === current ? "current" : ""}>
              <button
                type="button"
                class="past"
                aria-current={session.id === current ? "true" : undefined}
                onClick={() => onOpen(session.id)}
              >
                <span>{session.title || "Without a message"}</span>
                <small>{when(session.used_at)}</small>
              </button>
              <IconButton icon="bin" label={`Delete the conversation ${session.title}`} onClick={() => onDelete(session.id)} />
            </li>
          ))}
        </ul>
      </nav>
      {owner && (
        <p class="elsewhere">
          <a href="/admin">Admin</a>
          <a href="/docs">API</a>
        </p>
      )}
    </div>
  );
}

/** "14:05" today, else "3 Nov". */
function when(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleDateString([], { day: "numeric", month: "short" });
}
