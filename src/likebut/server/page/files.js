/** Choosing files, and adding them to the gallery. */

import { addImages } from "./api.js";
import { announce, byId, counted } from "./dom.js";
import { showProgress } from "./notes.js";

// Few at a time, so that a request stays below the server's limit and progress shows.
const AT_ONCE = 4;

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
 * Add files to the gallery, and return them as images in the same order.
 * @param {File[]} files
 * @param {(error: Error, further: boolean) => void} onError
 * @returns {Promise<object[]|null>} null if it went wrong.
 */
export async function keepInGallery(files, onError) {
  const images = [];
  try {
    for (let start = 0; start < files.length; start += AT_ONCE) {
      if (files.length > 1) showProgress(start, files.length);
      images.push(...(await addImages(files.slice(start, start + AT_ONCE))));
    }
  } catch (error) {
    onError(error, true);
    return null;
  } finally {
    showProgress(0, 0);
  }
  announce(`${counted(images.length, "picture")} added.`);
  return images;
}
