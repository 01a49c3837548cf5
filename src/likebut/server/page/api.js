/** Requests to the server's HTTP API. */

import { fileOf } from "./uploads.js";

export const PAGE_SIZE = 48;
const MAX_ATTEMPTS = 4;

/** An error response of the server: code, message, remedy. */
export class ApiError extends Error {
  constructor(status, { code, message, remedy }) {
    super(message);
    this.status = status;
    this.code = code;
    this.remedy = remedy;
  }
}

const UNREACHABLE = {
  code: "unreachable",
  message: "The server does not respond.",
  remedy: "Check that likebut serve is running, then try again.",
};
const UNREADABLE = { code: "unreadable", message: "The server's response is invalid.", remedy: "Try again." };

async function request(method, path, body, signal) {
  const isForm = body instanceof FormData;
  const headers = body && !isForm ? { "Content-Type": "application/json" } : {};
  for (let attempt = 1; ; attempt += 1) {
    let response;
    try {
      const content = body && !isForm ? JSON.stringify(body) : body;
      response = await fetch(path, { method, headers, body: content, signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, UNREACHABLE);
    }
    if (response.ok) return response.status === 204 ? null : response.json();
    if (response.status === 429 && attempt < MAX_ATTEMPTS) {
      await pause(1000 * Number(response.headers.get("Retry-After") || 1), signal);
      continue;
    }
    throw new ApiError(response.status, (await response.json().catch(() => ({}))).error ?? UNREADABLE);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Return the description of the gallery. */
export async function describeGallery() {
  return (await request("GET", "/v1/galleries")).galleries[0];
}

/** Return a page of the gallery's images as {items, more, total}. */
export async function listImages(filter, offset, signal) {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE), offset: String(offset) });
  if (Object.keys(filter).length) query.set("filter", JSON.stringify(filter));
  const response = await request("GET", `/v1/images?${query}`, undefined, signal);
  return { items: response.images, more: response.more, total: response.total };
}

/** Return a page of a turn's hits as {items, more, references, timings}. */
export async function searchImages(turn, offset, signal) {
  const response = await request("POST", "/v1/search", searchBody(turn, offset), signal);
  return { items: response.hits, more: response.more, references: response.references, timings: response.timings };
}

function searchBody(turn, offset) {
  const query = {
    text: turn.text.trim(),
    negative: turn.negative.trim(),
    weight: turn.weight,
    filter: turn.filter,
    k: PAGE_SIZE,
    offset,
  };
  const ids = turn.images.filter((image) => image.id).map((image) => image.id);
  const files = turn.images.filter((image) => !image.id).map(fileOf);
  if (!files.length) return { ...query, image_id: ids };
  const form = new FormData();
  for (const [name, value] of Object.entries(query)) {
    form.append(name, name === "filter" ? JSON.stringify(value) : String(value));
  }
  for (const id of ids) form.append("image_id", id);
  for (const file of files) form.append("image", file, "reference");
  return form;
}

/** Add files to the gallery and return the added images. */
export async function addImages(files) {
  const form = new FormData();
  for (const file of files) form.append("image", file, "added");
  return (await request("POST", "/v1/images", form)).images;
}

/** Delete an image from the gallery. */
export async function deleteImage(id) {
  await request("DELETE", `/v1/images/${id}`);
}

/** Start a session with a token. */
export async function beginSession(token) {
  await request("POST", "/v1/session", { token });
}

/** Return the URL of an image's thumbnail. */
export function thumbnailUrl(id) {
  return `/v1/images/${encodeURIComponent(id)}/thumbnail`;
}

/** Return the URL of an image in display size. */
export function imageUrl(id) {
  return `/v1/images/${encodeURIComponent(id)}/picture`;
}
