/** Calls of the service that the page came from, and of nothing else. */
import { EventReader } from "./events";
import type { Facts } from "./types";

const KEY = "rarec.key";

/** What went wrong, in words for people. `status` is 0 where no answer came at all. */
export class Failure extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly retryAfter: number | null = null,
  ) {
    super(`${title}: ${detail}`);
  }
}

export function storedKey(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keeps the key until the tab is closed; empty forgets it. */
export function storeKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** One request; `body` goes as JSON. Throws Failure. */
export async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await send(method, path, body);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The text of an answer. Throws Failure. */
export async function text(path: string): Promise<string> {
  return (await send("GET", path)).text();
}

/**
 * Asks for an answer and reports pieces of the reply as they come; gives what stands behind it.
 * Throws Failure, also for a stream that breaks off, and an AbortError if `signal` says so.
 */
export async function converse(
  body: Record<string, unknown>,
  onPiece: (piece: string) => void,
  signal: AbortSignal,
): Promise<Facts> {
  const response = await send("POST", "/v1/chat/completions", { ...body, stream: true }, signal);
  if (!response.body) throw broken();
  const reader = new EventReader();
  const decoder = new TextDecoder();
  const stream = response.body.getReader();
  let facts: Facts | null = null;
  try {
    for (;;) {
      const { done, value } = await stream.read();
      if (done) break;
      for (const data of reader.read(decoder.decode(value, { stream: true }))) {
        if (data === "[DONE]") continue;
        const event = JSON.parse(data);
        if (event.error) throw new Failure(502, "The answer broke off", String(event.error.message ?? ""));
        const piece = event.choices?.[0]?.delta?.content;
        if (typeof piece === "string" && piece) onPiece(piece);
        if (event.rarec) facts = event.rarec as Facts;
      }
    }
  } catch (error) {
    if (error instanceof Failure || signal.aborted) throw error;
    throw broken();
  }
  if (!facts) throw broken();
  return facts;
}

/** An id that nobody else makes; works without a secure context too. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const key = storedKey();
  if (key) headers["Authorization"] = `Bearer ${key}`;
  const init: RequestInit = { method, headers, credentials: "omit", cache: "no-store" };
  if (body !== undefined) init.body = JSON.stringify(body);
  if (signal) init.signal = signal;
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "The service does not answer", "It may have been stopped, or the connection is gone.");
  }
  if (!response.ok && response.status !== 207) throw await failureOf(response);
  return response;
}

async function failureOf(response: Response): Promise<Failure> {
  let title = response.statusText || `Status ${response.status}`;
  let detail = "";
  try {
    const document = await response.json();
    if (typeof document.title === "string") title = document.title;
    if (typeof document.detail === "string") detail = document.detail;
  } catch {
    // no problem document: something before the service has answered
  }
  const seconds = Number(response.headers.get("Retry-After"));
  return new Failure(response.status, title, detail, Number.isFinite(seconds) && seconds > 0 ? seconds : null);
}

function broken(): Failure {
  return new Failure(0, "The answer broke off", "The connection ended before the answer was whole.");
}
