/** Choosing files, and adding them to the gallery. */

import { addImages } from "./api.js";
import { announce, byId, counted } from "./dom.js";
import { showProgress } from "./notes.js";

// Few at a time, so that progress shows.
const AT_ONCE = 4;
// What a form needs besides the files themselves.
const FORM_BYTES = 4096;
const REFUSED = new Set([400, 413, 415, 422]);

/** Let the person choose picture files; take() gets them. */
export function chooseFiles(several, take) {
  const input = byId("file");
  input.multiple = several;
  input.value = "";
  input.onchange = () => {
    if (input.files.length) take([...input.files]);
  };
  input.click();
}

/**
 * Add files to the gallery. A file that is refused keeps none of the others from it.
 * @param {File[]} files
 * @param {number} mostBytes Of one request.
 * @returns {Promise<{images: (object|null)[], error: Error|null}>} An image for each file, null where there is none,
 *   and what went wrong first.
 */
export async function keepInGallery(files, mostBytes) {
  const images = files.map(() => null);
  let error = null;
  try {
    for (const part of batches(files, mostBytes)) {
      if (files.length > 1) showProgress(part[0], files.length);
      const added = await addTogether(part.map((number) => files[number]));
      part.forEach((number, place) => {
        images[number] = added[place].image ?? null;
        error ??= added[place].error ?? null;
      });
      if (error && !REFUSED.has(error.status)) break;
    }
  } finally {
    showProgress(0, 0);
  }
  announce(`${counted(images.filter(Boolean).length, "picture")} added.`);
  return { images, error };
}

/** Return what became of each file, {image} or {error}: the server takes all of a request or none. */
async function addTogether(files) {
  try {
    return (await addImages(files)).map((image) => ({ image }));
  } catch (error) {
    if (files.length === 1 || !REFUSED.has(error.status)) return files.map(() => ({ error }));
  }
  const outcomes = [];
  for (const file of files) outcomes.push(...(await addTogether([file])));
  return outcomes;
}

/** Return the places of the files, as many together as a request may hold. */
function batches(files, mostBytes) {
  const found = [];
  let bytes = 0;
  files.forEach((file, number) => {
    const last = found.at(-1);
    bytes += file.size + FORM_BYTES;
    if (last && last.length < AT_ONCE && bytes <= mostBytes) last.push(number);
    else {
      found.push([number]);
      bytes = file.size + FORM_BYTES;
    }
  });
  return found;
}
