/** The catalogue: search, and one item at a time to add, change or delete. */
import { useEffect, useState } from "preact/hooks";
import { call, Failure } from "./api";
import { Cover, Dialog, Icon, Trouble } from "./common";
import { attributesOf, attributeText } from "./item-text";
import type { Item } from "./types";

const SHOWN = 30;
const NEW: Item = { id: "", title: "", text: "", year: null, attributes: {}, popularity: 0 };

export function ItemsPart() {
  const [query, setQuery] = useState("");
  const [items, setItems] = useState<Item[] | null>(null);
  const [edited, setEdited] = useState<Item | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [said, setSaid] = useState("");
  const look = () => {
    const path = query.trim() ? `/v1/items/search?limit=${SHOWN}&q=${encodeURIComponent(query.trim())}` : `/v1/items?limit=${SHOWN}`;
    return call<{ items: Item[] }>("GET", path).then(
      (found) => (setItems(found.items), setFailure(null)),
      (error) => error instanceof Failure && setFailure(error),
    );
  };
  useEffect(() => {
    const timer = setTimeout(look, 200);
    return () => clearTimeout(timer);
  }, [query]);
  const done = (words: string) => {
    setEdited(null);
    setSaid(words);
    void look();
  };
  return (
    <>
      <div class="tools">
        <label>
          Search by words of the title
          <input type="search" value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </label>
        <button type="button" class="button primary" onClick={() => setEdited(NEW)}>
          <Icon name="plus" /> Add an item
        </button>
      </div>
      <p role="status" class={said ? "note" : "sr-only"}>
        {said}
      </p>
      {failure && <Trouble failure={failure} onRetry={() => void look()} />}
      {items && items.length === 0 && <p class="quiet">{query ? "No title has these words." : "The catalogue is empty."}</p>}
      {items && items.length > 0 && (
        <div class="panel">
          <table>
            <thead>
              <tr>
                <th scope="col" class="thumb">
                  <span class="sr-only">Cover</span>
                </th>
                <th scope="col">Title</th>
                <th scope="col">Year</th>
                <th scope="col">Id</th>
                <th scope="col" class="right">
                  Popularity
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((item) => (
                <tr key={item.id}>
                  <td class="thumb">
                    <Cover title={item.title} />
                  </td>
                  <th scope="row">
                    <button type="button" class="row-title" onClick={() => setEdited(item)}>
                      {item.title}
                    </button>
                  </th>
                  <td>{item.year ?? "–"}</td>
                  <td>
                    <code>{item.id}</code>
                  </td>
                  <td class="right">{item.popularity}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {edited && <ItemDialog item={edited} onClose={() => setEdited(null)} onDone={done} />}
    </>
  );
}

function ItemDialog({ item, onClose, onDone }: { item: Item; onClose: () => void; onDone: (words: string) => void }) {
  const fresh = item.id === "";
  const [draft, setDraft] = useState({ ...item, year: item.year === null ? "" : String(item.year), attributes: attributeText(item.attributes) });
  const [wrong, setWrong] = useState("");
  const change = (name: string) => (event: { currentTarget: { value: string } }) => setDraft({ ...draft, [name]: event.currentTarget.value });
  const failed = (error: unknown) => setWrong(error instanceof Error ? error.message : String(error));
  const save = async () => {
    try {
      const attributes = attributesOf(draft.attributes);
      const year = draft.year.trim() === "" ? null : Number(draft.year);
      const body = { title: draft.title, text: draft.text, year, attributes, popularity: Number(draft.popularity) || 0 };
      await call("PUT", `/v1/items/${pathOf(draft.id.trim())}`, body);
      onDone(`“${draft.title}” is stored. It can be recommended from the next answer on.`);
    } catch (error) {
      failed(error);
    }
  };
  const remove = async () => {
    if (!confirm(`Delete “${item.title}”? It is not recommended from the next answer on.`)) return;
    await call("DELETE", `/v1/items/${pathOf(item.id)}`).then(() => onDone(`“${item.title}” is deleted.`), failed);
  };
  return (
    <Dialog title={fresh ? "A new item" : item.title} onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div class="two">
          <label>
            Title
            <input required value={draft.title} onInput={change("title")} />
          </label>
          <label>
            Id
            <input required readOnly={!fresh} value={draft.id} onInput={change("id")} />
          </label>
          <label>
            Year
            <input type="number" min={1} max={9999} value={draft.year} onInput={change("year")} />
          </label>
          <label>
            Popularity
            <input type="number" min={0} step="any" value={draft.popularity} onInput={change("popularity")} />
          </label>
        </div>
        <label>
          Text
          <textarea class="control" value={draft.text} onInput={change("text")} />
        </label>
        <label>
          Attributes, one a line, as in: genres: Drama | Comedy
          <textarea class="control" value={draft.attributes} onInput={change("attributes")} />
        </label>
        {wrong && (
          <p class="wrong" role="alert">
            {wrong}
          </p>
        )}
        <div class="dialog-foot">
          {!fresh && (
            <button type="button" class="button danger" onClick={() => void remove()}>
              <Icon name="bin" /> Delete
            </button>
          )}
          <span class="space" />
          <button type="submit" class="button primary">
            Store
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** An id as a path; slashes in it stay. */
function pathOf(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}
