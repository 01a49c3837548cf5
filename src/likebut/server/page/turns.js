/**
 * A multi-turn search as a value, and its encoding in the URL.
 *
 * A turn is {images, text, negative, weight, filter}; an image is {id} if it is in the gallery, or {upload, name} if it
 * is in this browser only. A trail is {turns, at}: the steps and the position of the current one. A turn without image
 * and text shows the gallery itself.
 */

export const BALANCED = 0.5;

/** Return a turn without a query. */
export function emptyTurn(filter = {}) {
  return { images: [], text: "", negative: "", weight: BALANCED, filter };
}

/** Return the trail before the first search. */
export function emptyTrail() {
  return { turns: [emptyTurn()], at: 0 };
}

/** Return the current turn. */
export function currentTurn(trail) {
  return trail.turns[trail.at];
}

/** Return whether a turn has a query. */
export function isSearch(turn) {
  return turn.images.length > 0 || turn.text.trim() !== "";
}

/** Return the trail with the current turn changed and the later ones dropped. */
export function edited(trail, changes) {
  const turns = trail.turns.slice(0, trail.at + 1);
  turns[trail.at] = { ...turns[trail.at], ...changes };
  return { turns, at: trail.at };
}

/** Return the trail with a new turn that starts from an image; the filter is kept. */
export function refined(trail, image) {
  const current = currentTurn(trail);
  const next = { ...emptyTurn(current.filter), images: [image] };
  if (!isSearch(current)) return edited(trail, next);
  return { turns: [...trail.turns.slice(0, trail.at + 1), next], at: trail.at + 1 };
}

/** Return a new trail that starts from an image. */
export function begun(image) {
  return { turns: [{ ...emptyTurn(), images: [image] }], at: 0 };
}

/** Return the trail with another current turn. */
export function returned(trail, at) {
  return { turns: trail.turns, at };
}

/** Return the trail with uploads replaced by gallery ids, given as a map. */
export function withIds(trail, ids) {
  const named = (image) => (ids.has(image.upload) ? { id: ids.get(image.upload) } : image);
  return { turns: trail.turns.map((turn) => ({ ...turn, images: turn.images.map(named) })), at: trail.at };
}

/** Return the images of all turns that are not in the gallery. */
export function uploadsOf(trail) {
  return trail.turns.flatMap((turn) => turn.images.filter((image) => !image.id));
}

/** Return a key that is equal for turns with the same query. */
export function keyOf(turn) {
  return JSON.stringify([turn.images, turn.text.trim(), turn.negative.trim(), turn.weight, turn.filter]);
}

/** Encode the trail as a URL query. */
export function encode(trail) {
  const query = new URLSearchParams();
  trail.turns.forEach((turn, number) => {
    if (number > 0) query.append("then", "");
    for (const image of turn.images) {
      if (image.id) query.append("image_id", image.id);
      else query.append("upload", image.name);
    }
    if (turn.text) query.append("text", turn.text);
    if (turn.negative) query.append("negative", turn.negative);
    if (turn.weight !== BALANCED) query.append("weight", String(turn.weight));
    if (Object.keys(turn.filter).length) query.append("filter", JSON.stringify(turn.filter));
  });
  if (trail.at !== trail.turns.length - 1) query.append("at", String(trail.at));
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** Decode the trail in a URL query; invalid parts are ignored. */
export function decode(search) {
  const turns = [emptyTurn()];
  let at = -1;
  for (const [name, value] of new URLSearchParams(search)) {
    const turn = turns[turns.length - 1];
    if (name === "then") turns.push(emptyTurn());
    else if (name === "image_id") turn.images.push({ id: value });
    else if (name === "upload") turn.images.push({ upload: null, name: value });
    else if (name === "text" || name === "negative") turn[name] = value;
    else if (name === "weight") turn.weight = readWeight(value);
    else if (name === "filter") turn.filter = readFilter(value);
    else if (name === "at") at = Number.parseInt(value, 10);
  }
  return { turns, at: at >= 0 && at < turns.length ? at : turns.length - 1 };
}

function readWeight(value) {
  const weight = Number(value);
  return value.trim() !== "" && weight >= 0 && weight <= 1 ? weight : BALANCED;
}

function readFilter(value) {
  try {
    const filter = JSON.parse(value);
    return filter && typeof filter === "object" && !Array.isArray(filter) ? filter : {};
  } catch {
    return {};
  }
}
