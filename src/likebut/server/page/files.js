/** The file chooser, and adding files to the gallery. */

import { addImages } from "./api.js";
import { announce, byId, counted } from "./dom.js";
import { showProgress } from "./notes.js";

// Small, so that progress is visible.
const BATCH_SIZE = 4;
// Size of a form without its files, at most.
const FORM_BYTES = 4096;
const REJECTED = new Set([400, 413, 415, 422]);

/** Open the file chooser; take() receives the files. */
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
 * Add files to the gallery. A rejected file does not prevent the others from being added.
 * @param {File[]} files
 * @param {number} maxBytes Limit per request.
 * @returns {Promise<{images: (object|null)[], error: Error|null}>} The image of each file, null where it was not
 *   added, and the first error.
 */
export async function addToGallery(files, maxBytes) {
  const images = files.map(() => null);
  let error = null;
  try {
    for (const part of batches(files, maxBytes)) {
      if (files.length > 1) showProgress(part[0], files.length);
      const added = await addTogether(part.map((number) => files[number]));
      part.forEach((number, place) => {
        images[number] = added[place].image ?? null;
        error ??= added[place].error ?? null;
      });
      if (error && !REJECTED.has(error.status)) break;
    }
  } finally {
    showProgress(0, 0);
  }
  announce(`${counted(images.filter(Boolean).length, "image")} added.`);
  return { images, error };
}

/** Return {image} or {error} for each file: the server adds all files of a request or none. */
async function addTogether(files) {
  try {
    return (await addImages(files)).map((image) => ({ image }));
  } catch (error) {
    if (files.length === 1 || !REJECTED.has(error.status)) return files.map(() => ({ error }));
  }
  const outcomes = [];
  for (const file of files) outcomes.push(...(await addTogether([file])));
  return outcomes;
}

/** Group file positions into requests within the size limit. */
function batches(files, maxBytes) {
  const found = [];
  let bytes = 0;
  files.forEach((file, number) => {
    const last = found.at(-1);
    bytes += file.size + FORM_BYTES;
    if (last && last.length < BATCH_SIZE && bytes <= maxBytes) last.push(number);
    else {
      found.push([number]);
      bytes = file.size + FORM_BYTES;
    }
  });
  return found;
}
